package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/failpoint"
	"github.com/millstream/millstream/pipelines"
)

// sourceRun is one source of a running pipeline: the flow.Intake that it pushes into, and the message.Subscriber that the watermill
// router reads from.
type sourceRun struct {
	p        *pipeline
	spec     *pipelines.Source
	source   flow.Source
	env      *flow.Env
	messages chan *message.Message
	closing  sync.Once

	mu    sync.Mutex
	lanes map[*flow.Lane]*lane
}

func newSourceRun(p *pipeline, spec *pipelines.Source, src flow.Source) *sourceRun {
	return &sourceRun{
		p: p, spec: spec, source: src, messages: make(chan *message.Message), lanes: map[*flow.Lane]*lane{},
		env: &flow.Env{
			Source: spec.Name, Connector: spec.Connector, Format: spec.Format, Paths: p.prog.Paths,
			Now: p.engine.opts.Now, Extra: spec.Extra,
		},
	}
}

// Push takes a batch in: it waits for room, gives the batch its place in its lane, and hands it to the router.
func (s *sourceRun) Push(ctx context.Context, b *flow.Batch) error {
	p := s.p
	if len(b.Records) == 0 {
		s.giveBack(b)
		return nil
	}
	bytes := b.Bytes()
	if err := s.mayEnter(ctx, len(b.Records), bytes); err != nil {
		return err
	}
	p.active.Add(1)
	p.count.in.Add(int64(len(b.Records)))
	p.count.inFlight.Add(int64(len(b.Records)))
	r, _ := p.runs.Get().(*run)
	r.reset(p, s, b)
	s.lane(b.Lane).enter(r)
	failpoint.Hit(failpoint.AfterFetch)
	t := &ticket{run: r, finished: make(chan struct{})}
	msg := message.NewMessage("", nil)
	msg.SetContext(context.WithValue(context.Background(), ticketKey{}, t)) //nolint:contextcheck // it must not end before the work does
	go s.settle(t, msg)
	select {
	case s.messages <- msg:
	case <-p.routed: // the router is broken: nobody will call the handler
		msg.Nack()
	}
	return nil
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

// lane finds the engine's side of a lane. Lanes that were taken away and have nothing in flight are forgotten.
func (s *sourceRun) lane(of *flow.Lane) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.lanes[of]
	if !ok {
		for old := range s.lanes {
			select {
			case <-old.Abandoned():
				delete(s.lanes, old)
			default:
			}
		}
		l = newLane(s.p, of, s.spec.Order)
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
		if !keep || r.left[i] && !p.settlesLeft() {
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
	p.count.in.Add(-ends[flow.Open])
	p.count.inFlight.Add(-n)
	p.budget.give(int(n), bytes)
	p.active.Done()
}

func (p *pipeline) settlesLeft() bool {
	return p.breaks(faultSettleLeft) || p.reading.Err() != nil && p.breaks(faultDropOnDrain)
}

// giveBack hands a batch to its source. A source that panics there cannot go on.
func (s *sourceRun) giveBack(b *flow.Batch) {
	failpoint.Hit(failpoint.BeforeAck)
	if err := guard(func() error { s.source.Settle(b); return nil }); err != nil {
		s.p.stopFailed(fmt.Errorf("settle at source %q: %w", s.spec.Name, err))
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
