package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/failpoint"
	"github.com/millstream/millstream/pipelines"
)

// sourceRun is one open source of a pipeline: the flow.Intake that it pushes into, and the message.Subscriber that its watermill router
// reads from.
type sourceRun struct {
	p        *pipeline
	name     string
	source   flow.Source
	eager    flow.Eager // the source, when it is one
	host     *host
	messages chan *message.Message
	closing  sync.Once
	router   *message.Router
	routed   chan struct{} // closed when the router has ended
	running  bool          // its Run was called; set by the one who starts the source
	returned chan struct{} // closed when Run has returned
	left     atomic.Int64  // records that it got back unsettled

	// What the pipeline's own are for all its sources.
	reading, draining, hard           context.Context
	stopReading, beginDrain, hardStop context.CancelFunc

	mu     sync.Mutex
	lanes  map[*flow.Lane]*lane
	active int           // batches taken and not given back
	empty  chan struct{} // closed when active is 0; nil while nobody waits for it
	gate   chan struct{} // closed when batches may enter again; nil while they may
}

// openSource opens a source of a program, with a router of its own. It does not read yet.
func (p *pipeline) openSource(ctx context.Context, prog *pipelines.Program, index int) (*sourceRun, error) {
	spec := &prog.Sources[index]
	s := &sourceRun{
		p: p, name: spec.Name, host: p.host(spec.Name, spec.Connector, prog.Limits), messages: make(chan *message.Message),
		routed: make(chan struct{}), returned: make(chan struct{}), lanes: map[*flow.Lane]*lane{},
	}
	src, err := guarded(func() (flow.Source, error) { return spec.Open(ctx, s.host) })
	if err != nil {
		return nil, errors.Join(openError("source", spec.Name, err), s.host.release())
	}
	s.source = src
	s.eager, _ = src.(flow.Eager)
	s.reading, s.stopReading = context.WithCancel(p.reading)
	s.draining, s.beginDrain = context.WithCancel(p.draining)
	s.hard, s.hardStop = context.WithCancel(p.hard)
	if err := s.route(); err != nil { //nolint:contextcheck // the router lives as long as the source
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// route makes the router that leads the source's batches to the handler, and waits until it runs.
func (s *sourceRun) route() error {
	r, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("make router: %w", err)
	}
	r.AddMiddleware(s.p.engine.opts.Middleware...)
	r.AddConsumerHandler(s.name, s.name, s, s.p.handle)
	s.router = r
	go func() {
		defer close(s.routed)
		// The router's context never ends before the work does: it stops when the source's channel closes.
		if err := r.Run(context.Background()); err != nil {
			s.p.stopFailed(fmt.Errorf("run router: %w", err))
		}
	}()
	select {
	case <-r.Running():
		return nil
	case <-s.routed:
		return fmt.Errorf("run router of %q: %w", s.name, s.p.cause())
	}
}

// start lets the source read. The caller has counted it as a reader.
func (s *sourceRun) start() {
	s.running = true
	go func() {
		defer s.p.read(-1)
		defer close(s.returned)
		if err := guard(func() error { return s.source.Run(s.reading, s) }); err != nil {
			s.p.stopFailed(flow.AsError(err, flow.ConfigError, flow.CodeUnavailable))
		}
	}()
}

// endRouter ends the router; nothing of the source is in flight any more.
func (s *sourceRun) endRouter() {
	if s.router != nil {
		s.closeMessages()
		<-s.routed
	}
}

// close ends the source, of which nothing is in flight any more, and gives back what it was lent.
func (s *sourceRun) close(ctx context.Context) error {
	s.endRouter()
	defer func() {
		s.stopReading()
		s.beginDrain()
		s.hardStop()
	}()
	return errors.Join(guard(func() error { return s.source.Close(ctx) }), s.host.release())
}

// Push takes a batch in: it waits for room, gives the batch its place in its lane, and hands it to the router.
func (s *sourceRun) Push(ctx context.Context, b *flow.Batch) error {
	p := s.p
	if len(b.Records) == 0 {
		s.giveBack(b)
		return nil
	}
	n, bytes := len(b.Records), b.Bytes()
	if err := s.mayEnter(ctx, n, bytes); err != nil {
		return err
	}
	r, err := s.enter(ctx, b, bytes)
	if err != nil {
		p.budget.give(n, bytes)
		return err
	}
	failpoint.Hit(failpoint.AfterFetch)
	t := &ticket{run: r, finished: make(chan struct{})}
	msg := message.NewMessage("", nil)
	msg.SetContext(context.WithValue(context.Background(), ticketKey{}, t)) //nolint:contextcheck // it must not end before the work does
	go s.settle(t, msg)
	select {
	case s.messages <- msg:
	case <-s.routed: // the router is broken: nobody will call the handler
		msg.Nack()
	}
	return nil
}

// enter takes a batch in once the gate is open: under the revision that runs then, and in its place in its lane.
func (s *sourceRun) enter(ctx context.Context, b *flow.Batch, bytes int64) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.gate != nil {
		gate := s.gate
		s.mu.Unlock()
		select {
		case <-gate:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	p := s.p
	g := p.graph.Load()
	if g.sources[s.name] == nil {
		return nil, context.Canceled // it is on its way out
	}
	s.active++
	p.count.in.Add(int64(len(b.Records)))
	p.count.inFlight.Add(int64(len(b.Records)))
	r, _ := p.runs.Get().(*run)
	r.reset(g, s, b, bytes)
	s.lane(b.Lane, r.in.spec.Order).enter(r)
	return r, nil
}

// leave notes that a batch was given back.
func (s *sourceRun) leave() {
	s.mu.Lock()
	s.active--
	if s.active == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
	s.mu.Unlock()
}

// idle is closed when nothing of the source is in flight.
func (s *sourceRun) idle() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	idle := s.empty
	if s.active == 0 {
		close(s.empty)
		s.empty = nil
	}
	return idle
}

// mayEnter waits until the pipeline is not paused and its limits have room.
func (s *sourceRun) mayEnter(ctx context.Context, n int, bytes int64) error {
	p := s.p
	if err := p.whilePaused(ctx); err != nil {
		return err
	}
	if err := p.budget.take(ctx, n, bytes); err != nil {
		return err
	}
	if err := p.whilePaused(ctx); err != nil {
		p.budget.give(n, bytes)
		return err
	}
	return nil
}

// lane finds the engine's side of a lane; the lock is held. Lanes that were taken away and have nothing in flight are forgotten.
func (s *sourceRun) lane(of *flow.Lane, order pipelines.Order) *lane {
	l, ok := s.lanes[of]
	if !ok {
		for old := range s.lanes {
			select {
			case <-old.Abandoned():
				delete(s.lanes, old)
			default:
			}
		}
		l = newLane(s, of, order)
		s.lanes[of] = l
	}
	return l
}

// settle waits for watermill's verdict and gives the batch back to the source. Only what the handler has settled counts as settled,
// whatever a middleware acknowledged.
func (s *sourceRun) settle(t *ticket, msg *message.Message) {
	acked := false
	select {
	case <-msg.Acked():
		acked = true
	case <-msg.Nacked():
	}
	if t.claimed.CompareAndSwap(false, true) {
		t.err = errLate
		close(t.finished)
		s.p.pass(t.run)
	}
	<-t.finished
	// A nack although the handler was content comes from a middleware: it wants the batch again.
	keep := t.handled && (acked || t.err != nil)
	s.release(t.run, keep)
}

// pass takes a run that no handler saw through the turnstiles, so that those behind it can go on.
func (p *pipeline) pass(r *run) {
	l := r.lane
	<-r.before.handed
	l.mu.Lock()
	l.handed = r.seq
	l.mu.Unlock()
	close(r.self.handed)
	<-r.before.confirmed
	l.mu.Lock()
	l.confirm(r)
	l.mu.Unlock()
	close(r.self.confirmed)
}

// release finishes the records of a batch and gives it back; keep says that what the handler settled is settled.
func (s *sourceRun) release(r *run, keep bool) {
	p, n := s.p, int64(len(r.batch.Records))
	var ends [flow.DeadLettered + 1]int64
	for i := range r.batch.Records {
		end := max(r.ends[i], flow.Filtered)
		if !keep || r.left[i] && !s.settlesLeft() {
			end = flow.Open
		}
		r.batch.Records[i].Finish(end)
		if end == flow.Open && keep && r.refused != nil {
			r.batch.Records[i].Refuse(r.refused[int32(i)]) // a batch holds MaxBatchRecords at most
		}
		ends[end]++
	}
	bytes, batch := r.bytes, r.batch
	if !p.breaks(faultAckEarly) { // its sinks are still at work
		r.clear()
		p.runs.Put(r)
	}
	s.giveBack(batch)
	for end := flow.Filtered; end <= flow.DeadLettered; end++ {
		if ends[end] > 0 {
			p.count.ends[end].Add(ends[end])
		}
	}
	if p.breaks(faultCountTwice) {
		p.count.ends[flow.Delivered].Add(1)
	}
	p.count.returned.Add(ends[flow.Open])
	s.left.Add(ends[flow.Open])
	p.count.in.Add(-ends[flow.Open])
	p.count.inFlight.Add(-n)
	p.budget.give(int(n), bytes)
	s.leave()
}

func (s *sourceRun) settlesLeft() bool {
	p := s.p
	return p.breaks(faultSettleLeft) || p.reading.Err() != nil && p.breaks(faultDropOnDrain) ||
		p.reading.Err() == nil && s.reading.Err() != nil && p.breaks(faultDropOnReload)
}

// giveBack hands a batch to its source. A source that panics there cannot go on.
func (s *sourceRun) giveBack(b *flow.Batch) {
	failpoint.Hit(failpoint.BeforeAck)
	if err := guard(func() error { s.source.Settle(b); return nil }); err != nil {
		s.p.stopFailed(fmt.Errorf("settle at source %q: %w", s.name, err))
	}
	failpoint.Hit(failpoint.AfterAck)
}

// tell tells an eager source what became of a record.
func (s *sourceRun) tell(b *flow.Batch, rec int32, refused *flow.Error) {
	if err := guard(func() error { s.eager.Ended(b, int(rec), refused); return nil }); err != nil {
		s.p.stopFailed(fmt.Errorf("tell source %q: %w", s.name, err))
	}
}

// Subscribe is called by the router, once.
func (s *sourceRun) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	return s.messages, nil
}

// Close is called by the router when it ends.
func (s *sourceRun) Close() error {
	s.closeMessages()
	return nil
}

// closeMessages ends the router's reading; nothing is in flight any more.
func (s *sourceRun) closeMessages() { s.closing.Do(func() { close(s.messages) }) }
