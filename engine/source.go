package engine

import (
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
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
	routed   chan struct{} // closed when the router has ended

	mu    sync.Mutex
	lanes map[*flow.Lane]*lane
}

func newSourceRun(p *pipeline, spec *pipelines.Source, src flow.Source) *sourceRun {
	return &sourceRun{
		p: p, spec: spec, source: src, messages: make(chan *message.Message), routed: make(chan struct{}),
		lanes: map[*flow.Lane]*lane{},
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
		s.source.Settle(b)
		return nil
	}
	bytes := b.Bytes()
	if err := p.whilePaused(ctx); err != nil {
		return err
	}
	if err := p.budget.take(ctx, len(b.Records), bytes); err != nil {
		return err
	}
	if err := p.whilePaused(ctx); err != nil {
		p.budget.give(len(b.Records), bytes)
		return err
	}
	p.active.Add(1)
	p.count.in.Add(int64(len(b.Records)))
	p.count.inFlight.Add(int64(len(b.Records)))
	r, _ := p.runs.Get().(*run)
	r.reset(p, s, b)
	s.lane(b.Lane).enter(r)
	msg := message.NewMessage("", nil)
	msg.SetContext(context.WithValue(context.Background(), runKey{}, r))
	go s.settle(r, msg)
	s.messages <- msg
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
func (s *sourceRun) settle(r *run, msg *message.Message) {
	acked := false
	select {
	case <-msg.Acked():
		acked = true
	case <-msg.Nacked():
	}
	s.release(r, acked)
}

func (s *sourceRun) release(r *run, acked bool) {
	p, n := s.p, int64(len(r.batch.Records))
	var ends [flow.DeadLettered + 1]int64
	settled := n
	// A nack although the handler was content comes from a middleware: it wants the batch again.
	all := r.handled && (acked || hasLeft(r))
	for i := range r.batch.Records {
		end := max(r.ends[i], flow.Filtered)
		if !all || r.left[i] {
			end = flow.Open
			settled--
		}
		r.batch.Records[i].Finish(end)
		ends[end]++
	}
	bytes, batch := r.bytes, r.batch
	r.clear()
	p.runs.Put(r)
	s.source.Settle(batch)
	for end := flow.Filtered; end <= flow.DeadLettered; end++ {
		if ends[end] > 0 {
			p.count.ends[end].Add(ends[end])
		}
	}
	p.count.returned.Add(n - settled)
	p.count.in.Add(settled - n)
	p.count.inFlight.Add(-n)
	p.budget.give(int(n), bytes)
	p.active.Done()
}

func hasLeft(r *run) bool {
	for _, l := range r.left {
		if l {
			return true
		}
	}
	return false
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
