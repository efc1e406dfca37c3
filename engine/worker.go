package engine

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines"
)

// worker runs records through the graph, one at a time, node after node. It holds what a run needs and a batch should not allocate.
type worker struct {
	p        *pipeline
	g        *graph
	hard     context.Context // of the source whose records it works on
	msg      flow.Message
	emitters []*flow.Emitter // one per depth of fan-out
	counts   []localCount
	// run and rec are the record being worked on.
	run *run
	rec int32
	// node is the node that is running, holds what it has held.
	node  int
	holds []heldRecord
	// again is the part of the graph that is being tried again, and attempts how often it has failed.
	again    pipelines.Edge
	attempts int
	retrying bool
	// made is how many messages the record has become beside itself.
	made int
}

func newWorker(g *graph) *worker {
	return &worker{p: g.p, g: g, counts: make([]localCount, len(g.prog.Nodes))}
}

// begin makes the worker work on a run.
func (w *worker) begin(r *run) {
	w.run = r
	if w.hard != r.source.hard {
		w.hard = r.source.hard
		for _, em := range w.emitters {
			em.Bind(w.hard, w.hold)
		}
	}
}

// record runs record i of the batch from the source on.
func (w *worker) record(i int) {
	r := w.run
	w.made = 0
	w.rec = int32(i) // a batch holds MaxBatchRecords at most
	w.msg.Open(r.in.env, r.batch, i)
	w.enter(r.in, &w.msg)
}

// enter leads a message from its source into the graph.
func (w *worker) enter(s *graphSource, m *flow.Message) {
	if err := w.admit(s.spec, m); err != nil {
		w.settleFailure(failurePoint{name: s.spec.Name, policy: s.spec.OnError, errors: s.spec.Errors,
			target: parkedTarget{source: true}}, m, err, 0)
		return
	}
	w.follow(s.spec.Out, m, 0)
}

// admit refuses what the source could not take whole, what is over the limit, and what is not as the source's schema says.
func (w *worker) admit(s *pipelines.Source, m *flow.Message) *flow.Error {
	rec := m.Record()
	if rec.Failure != nil {
		return rec.Failure
	}
	if most := w.g.prog.Limits.MaxMessage; int64(len(rec.Body)) > most {
		return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the payload has %d bytes, max_message is %d", len(rec.Body), most)
	}
	if s.Check != nil {
		if err := guard(func() error { return s.Check(m) }); err != nil {
			return flow.AsError(err, flow.Poison, flow.CodePanic)
		}
	}
	return nil
}

// follow sends m along edges: the last one gets m itself, each other one a copy.
func (w *worker) follow(edges []pipelines.Edge, m *flow.Message, depth int) {
	last := len(edges) - 1
	for i, e := range edges {
		if i == last {
			w.walk(e, m, depth)
			return
		}
		em := w.emitter(depth)
		c := em.Copy(m)
		w.walk(e, c, depth+1)
		em.Recycle(c)
	}
}

// walk takes m along e until its branch ends. Chains are a loop; only fan-out recurses. The emitter of this depth belongs to this call:
// what is called from here uses deeper ones.
func (w *worker) walk(e pipelines.Edge, m *flow.Message, depth int) {
	var state flow.State
	for !e.Sink {
		if e.Way != "" {
			m.Through(e.Way)
		}
		n := &w.g.prog.Nodes[e.Index]
		c := &w.counts[e.Index]
		c.in++
		w.node = e.Index
		em := w.emitter(depth)
		em.Reset(m)
		m.MarkIn(&state)
		if err := w.process(n, m, em); err != nil {
			m.Rollback(state)
			em.Forget()
			c.errors++
			w.fail(e.Index, m, err, depth)
			em.Recycle(m)
			return
		}
		c.out += int64(len(em.Emitted))
		switch {
		case len(em.Emitted) == 1 && len(n.Ports[em.Emitted[0].Port]) == 1:
			next := em.Emitted[0]
			if next.Message != m {
				em.Recycle(m)
				m = next.Message
			}
			e = n.Ports[next.Port][0]
		case len(em.Emitted) == 0:
			if !em.WasHeld() {
				w.run.ended(w.rec, endOf(em.Settled))
			}
			em.Recycle(m)
			return
		default:
			w.fan(n, em, depth)
			em.Recycle(m)
			return
		}
	}
	if e.Way != "" {
		m.Through(e.Way)
	}
	w.deliver(e.Index, m, nil, depth)
	w.emitter(depth).Recycle(m)
}

func endOf(settled flow.End) flow.End {
	if settled == flow.Open {
		return flow.Filtered
	}
	return settled
}

// fan leads several emitted messages on, each to all edges of its port.
func (w *worker) fan(n *pipelines.Node, em *flow.Emitter, depth int) {
	for _, out := range em.Emitted {
		w.follow(n.Ports[out.Port], out.Message, depth+1)
	}
	for _, out := range em.Emitted {
		em.Recycle(out.Message)
	}
	em.Forget()
}

// process runs one node; a panic becomes an error of class poison.
func (w *worker) process(n *pipelines.Node, m *flow.Message, em *flow.Emitter) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.p.log.Error("node panicked", "node", n.Name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = flow.Errorf(flow.Poison, flow.CodePanic, "%s panicked: %v", n.Verb, r)
		}
		if err != nil && em.WasHeld() {
			w.undoHolds()
		}
	}()
	w.holds = w.holds[:0]
	if n.If != nil {
		run, err := n.If(m)
		if err != nil {
			return err
		}
		if !run {
			em.Emit(0, m)
			return nil
		}
	}
	if err := n.Processor.Process(m, em); err != nil {
		return err
	}
	if em.Over() || w.made+len(em.Emitted) > flow.MaxMessages {
		return flow.TooMany()
	}
	w.made += max(0, len(em.Emitted)-1)
	return checkPorts(n, em.Emitted)
}

// checkPorts finds messages for ways out that the node does not have.
func checkPorts(n *pipelines.Node, emitted []flow.Emitted) error {
	for i := range emitted {
		if p := int(emitted[i].Port); p < 0 || p >= len(n.Ports) {
			return flow.Errorf(flow.Poison, flow.CodeProcessing, "%s emitted to port %d of %d", n.Verb, p, len(n.Ports))
		}
	}
	return nil
}

// emitter lends the emitter of a depth of fan-out; a message uses one depth at a time.
func (w *worker) emitter(depth int) *flow.Emitter {
	for len(w.emitters) <= depth {
		em := &flow.Emitter{}
		em.Bind(w.hard, w.hold)
		em.BindLogger(w.p.log)
		em.BindWait(w.wait)
		w.emitters = append(w.emitters, em)
	}
	return w.emitters[depth]
}

// deliver encodes m for a sink and puts it into the run. lt is set for a dead letter, which is waited for whatever the sink is.
func (w *worker) deliver(sink int, m *flow.Message, lt *letter, depth int) {
	s, to := &w.g.prog.Sinks[sink], w.g.sinks[sink]
	offer := s.Optional && (lt == nil || w.p.breaks(faultLetterOffered))
	o := w.run.newOut()
	if err := w.encode(s, m, o, lt); err != nil {
		to.count.errors.Add(1)
		if offer {
			to.optional.dropped(1)
			w.run.missed(w.rec)
			return
		}
		w.failSink(sink, m, err, lt, depth)
		return
	}
	o.Index, o.Order = w.rec, w.run.place()
	if offer {
		w.run.offers[sink] = append(w.run.offers[sink], o)
		return
	}
	w.run.outs[sink] = append(w.run.outs[sink], o)
	if lt != nil {
		w.run.markLetter(o, lt)
	}
}

func (w *worker) encode(s *pipelines.Sink, m *flow.Message, o *flow.Outgoing, lt *letter) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = flow.Errorf(flow.Poison, flow.CodePanic, "%s panicked: %v", s.Connector, r)
		}
	}()
	body, err := w.payload(s, m)
	if err != nil && lt != nil {
		body, err = asJSON(m, err)
	}
	if err != nil {
		return flow.AsError(err, flow.Permanent, flow.CodeEncode)
	}
	o.Fill(m, body)
	if s.Encode != nil {
		if err := w.keep(m, o); err != nil {
			return flow.AsError(err, flow.Permanent, flow.CodeEncode)
		}
		o.SetContent(s.Content)
	}
	if lt != nil {
		if err := w.letter(s, m, o, lt); err != nil {
			return flow.AsError(err, flow.Permanent, flow.CodeEncode)
		}
	}
	if err := s.Preparer.Prepare(m, o); err != nil {
		return flow.AsError(err, flow.Permanent, flow.CodeEncode)
	}
	return nil
}

// keep notes in o how the message came, where the sink's encoding is its own. What was written to the body need not have a form in the
// body's own format.
func (w *worker) keep(m *flow.Message, o *flow.Outgoing) error {
	f, _ := m.Format()
	written := m.Body.Written() && !m.Body.None()
	if f == document.JSON || !written {
		plain, err := w.plain(m)
		if err == nil || !written {
			o.KeepPayload(plain)
			return err
		}
	}
	v, err := m.Body.Get(document.Root)
	o.KeepValue(m.Payload(), v)
	return err
}

// payload is the body as the sink writes it.
func (w *worker) payload(s *pipelines.Sink, m *flow.Message) ([]byte, error) {
	if s.Encode == nil {
		return w.plain(m)
	}
	buf := w.run.room(len(m.Payload()) + 512)
	start := len(buf)
	buf, none, err := s.Encode(buf, m)
	if err != nil || none {
		return nil, err
	}
	w.run.buf = buf
	w.run.made += int64(len(buf) - start)
	return buf[start:len(buf):len(buf)], nil
}

// plain is the body in the message's own format; untouched bytes are not copied.
func (w *worker) plain(m *flow.Message) ([]byte, error) {
	if !m.Body.Written() {
		if m.Reopened() { // in memory of its own
			w.run.made += int64(len(m.Payload()))
		}
		return m.Payload(), nil
	}
	if m.Body.None() {
		return nil, nil
	}
	buf := w.run.room(len(m.Payload()) + 512)
	start := len(buf)
	buf, err := m.Body.AppendTo(buf)
	if err != nil {
		return nil, err
	}
	w.run.buf = buf
	w.run.made += int64(len(buf) - start)
	return buf[start:len(buf):len(buf)], nil
}
