package engine

import (
	"context"
	"time"

	"github.com/millstream/millstream/flow"
)

// simSink stores what it accepts in the order of its Sends, and answers later: all at once or after a while, out of order, in part, or
// not before an outage is over.
type simSink struct {
	w       *world
	index   int
	name    string
	trouble uint64 // of a hundred messages
	slow    int    // milliseconds
	outage  [2]time.Duration
	hangs   bool // in the outage: no answer until it is over

	log []appearance // under the world's lock
}

// appearance is one message as it was stored.
type appearance struct {
	id, path, key string // path is the id, and tells ways apart that lead to one sink
	part          string
	hasKey        bool
	seq           int64
	attempt       int // the delivery by the source
	letter        bool
}

func newSimSink(w *world, index int) *simSink {
	r := w.rng
	s := &simSink{w: w, index: index, name: "o" + string(rune('0'+index)), trouble: uint64(r.IntN(3) * r.IntN(10)), slow: r.IntN(2) * r.IntN(40)}
	if r.IntN(4) == 0 {
		s.outage[0] = time.Duration(r.IntN(300)) * time.Millisecond
		s.outage[1] = s.outage[0] + time.Duration(r.IntN(3000))*time.Millisecond
		s.hangs = r.IntN(2) == 0
	}
	return s
}

// letterOf tells who failed a dead letter; ok is false for any other message.
func letterOf(o *flow.Outgoing) (by string, ok bool) {
	for _, h := range o.Headers() {
		if h.Name == "millstream-error-node" {
			return h.Text(), true
		}
	}
	return "", false
}

// Prepare implements flow.Preparer.
func (s *simSink) Prepare(m *flow.Message, o *flow.Outgoing) error {
	o.Dest = m.ID()
	by, letter := letterOf(o)
	if letter {
		o.Dest = letterID(o.Dest, by)
	}
	// The way of a message that went on after a failure may meet that of a copy without one.
	path := o.Dest
	if f := m.Failure(); f != nil && !letter {
		path = letterID(path, f.Node)
	}
	o.Native = path
	if string(m.Key()) == "to be rolled back" || len(o.Body) != len(o.Record.Body) {
		s.w.violate("%s arrived with a key or a body that was taken back", o.Dest)
	}
	if !s.w.isHealed() && s.w.chance(s.name, o.Dest, 5)%200 < s.trouble {
		if !letter {
			s.w.note(fact{"refused", s.index, true, o.Dest})
		}
		s.w.log("unprepared", s.name, o.Dest)
		if s.w.chance(s.name, o.Dest, 6)%2 == 0 {
			panic("simulated")
		}
		return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "no such name")
	}
	s.w.note(fact{"prepared", s.index, true, o.Dest})
	return nil
}

// Send implements flow.Sink.
func (s *simSink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	now := time.Since(s.w.began)
	out := now >= s.outage[0] && now < s.outage[1] && !s.w.isHealed()
	s.w.mu.Lock()
	for _, o := range outs {
		o.Err = s.accept(o, out)
	}
	delay := time.Duration(0)
	if s.slow > 0 {
		delay = time.Duration(s.w.rng.IntN(s.slow)) * time.Millisecond
	}
	if out && s.hangs {
		delay = s.outage[1] - now
	}
	blocks := s.w.rng.IntN(10) == 0
	s.w.mu.Unlock()
	if delay == 0 {
		s.confirm(outs)
		done()
		return
	}
	go func() {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			s.forget(ctx, outs)
		}
		s.confirm(outs)
		done()
	}()
	if blocks {
		time.Sleep(delay / 2)
	}
}

// accept decides about one message and stores it; the world's lock is held.
func (s *simSink) accept(o *flow.Outgoing, outage bool) error {
	w := s.w
	_, letter := letterOf(o)
	optional := w.program.Sinks[s.index].Optional
	var err error
	draw := w.chance(s.name, o.Dest, 8)
	fails := !w.healed && w.chance(s.name, o.Dest, 7)%100 < s.trouble
	f := fact{"transient", s.index, true, o.Dest}
	switch {
	case outage:
		w.facts[f]++
		err = flow.Errorf(flow.Transient, flow.CodeUnavailable, "outage")
	case fails && draw%3 == 0:
		if !letter {
			w.facts[fact{"refused", s.index, true, o.Dest}]++
		}
		err = flow.Errorf(flow.Permanent, flow.CodeRefused, "refused")
	case fails && w.facts[f] < int(draw%5):
		w.facts[f]++
		err = context.DeadlineExceeded
	}
	if err != nil {
		w.logLocked("nacks", s.name, o.Dest)
		w.failedKeys[keyOf(o.Record)] = true
		if draw%4 != 0 || fails && draw%3 == 0 {
			return err // what is refused for good is never stored
		}
		w.nackedStored++
	}
	if !optional || letter {
		s.store(o, letter)
	}
	return err
}

func (s *simSink) store(o *flow.Outgoing, letter bool) {
	r := o.Record
	s.w.logLocked("stores", s.name, o.Dest)
	s.w.stored++
	s.log = append(s.log, appearance{
		id: o.Dest, path: o.Native.(string), key: string(r.Key), hasKey: r.Key != nil, part: r.Topic, seq: r.Offset, attempt: int(r.Attempt),
		letter: letter,
	})
}

func keyOf(r *flow.Record) string {
	if r.Key == nil {
		return r.Topic + " no key"
	}
	return r.Topic + " " + string(r.Key)
}

// forget makes the answers unknown: the engine has stopped.
func (s *simSink) forget(ctx context.Context, outs []*flow.Outgoing) {
	for _, o := range outs {
		o.Err = ctx.Err()
	}
}

// confirm notes what is about to be answered.
func (s *simSink) confirm(outs []*flow.Outgoing) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, o := range outs {
		_, letter := letterOf(o)
		switch {
		case o.Err != nil:
		case letter:
			s.w.facts[fact{"letter", s.index, true, o.Dest}]++
			s.w.logLocked("letter", s.name, o.Dest)
		default:
			s.w.facts[fact{"confirmed", s.index, true, o.Dest}]++
			s.w.logLocked("confirms", s.name, o.Dest)
		}
	}
}
