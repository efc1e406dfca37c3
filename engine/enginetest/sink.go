package enginetest

import (
	"context"
	"sync"

	"github.com/millstream/millstream/flow"
)

// Delivery is one message as a sink confirmed it, in memory of its own.
type Delivery struct {
	Body, Key []byte
	Headers   []flow.Header
	Position  string
}

// Sink keeps what it confirms. Its fields are set before it is opened.
type Sink struct {
	// Answer decides about each message: nil confirms it. nil Answer confirms all.
	Answer func(o *flow.Outgoing) error
	// Check is what Prepare does beside nothing; may be nil.
	Check func(m *flow.Message, o *flow.Outgoing) error
	// Gate holds every answer back until it is closed or sends, or the Send's context ends; nil answers at once, before Send returns.
	Gate chan struct{}

	mu        sync.Mutex
	sends     sync.WaitGroup
	last      chan struct{} // closed when the last send was answered
	delivered []Delivery
	opened    int
	closed    int
}

// Delivered are the confirmed messages in order.
func (s *Sink) Delivered() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Delivery(nil), s.delivered...)
}

// Bodies are the confirmed bodies in order, as text.
func (s *Sink) Bodies() []string {
	var out []string
	for _, d := range s.Delivered() {
		out = append(out, string(d.Body))
	}
	return out
}

// Opened counts the calls of Open.
func (s *Sink) Opened() int { s.mu.Lock(); defer s.mu.Unlock(); return s.opened }

// Closed counts the calls of Close.
func (s *Sink) Closed() int { s.mu.Lock(); defer s.mu.Unlock(); return s.closed }

// Open can be the Open of a pipelines.Sink.
func (s *Sink) Open(context.Context, flow.Host) (flow.Sink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return s, nil
}

// Prepare implements flow.Preparer.
func (s *Sink) Prepare(m *flow.Message, o *flow.Outgoing) error {
	if s.Check == nil {
		return nil
	}
	return s.Check(m, o)
}

// Send implements flow.Sink.
func (s *Sink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	if s.Gate == nil {
		s.answer(outs)
		done()
		return
	}
	s.mu.Lock()
	before, passed := s.last, make(chan struct{})
	s.last = passed
	s.mu.Unlock()
	s.sends.Go(func() {
		defer done()
		defer close(passed)
		if s.pass(ctx, before) {
			s.answer(outs)
			return
		}
		for _, o := range outs {
			o.Err = ctx.Err()
		}
	})
}

// pass waits for the sends before and for the gate: answers are given in the order of the sends.
func (s *Sink) pass(ctx context.Context, before <-chan struct{}) bool {
	if before != nil {
		select {
		case <-before:
		case <-ctx.Done():
			return false
		}
	}
	select {
	case <-s.Gate:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Sink) answer(outs []*flow.Outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range outs {
		o.Err = nil
		if s.Answer != nil {
			o.Err = s.Answer(o)
		}
		if o.Err == nil {
			s.delivered = append(s.delivered, Delivery{
				Body: clone(o.Body), Key: clone(o.Key), Headers: append([]flow.Header(nil), o.Headers()...), Position: o.Record.Position(),
			})
		}
	}
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// Close implements flow.Sink.
func (s *Sink) Close(context.Context) error {
	s.sends.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}
