package engine

import (
	"fmt"
	"runtime/debug"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// worker runs records through the graph, one at a time, node after node. It holds what a run needs and a batch should not allocate.
type worker struct {
	p        *pipeline
	msg      flow.Message
	emitters []*flow.Emitter // one per depth of fan-out
	counts   []localCount
	// run and rec are the record being worked on.
	run *run
	rec int32
	// parent and parentRec are the batch's run while run is a sub-run of it.
	parent    *run
	parentRec int32
	// node is the node that is running.
	node int
	// again is the part of the graph that is being tried again, and attempts how often it has failed.
	again    pipelines.Edge
	attempts int
	retrying bool
	// letterAttempts is what the next dead letter reports as its number of attempts.
	letterAttempts int
}

func newWorker(p *pipeline) *worker {
	return &worker{p: p, counts: make([]localCount, len(p.prog.Nodes))}
}

// record runs record i of the batch from the source on.
func (w *worker) record(i int) {
	r := w.run
	w.rec = int32(i) //nolint:gosec // a batch holds at most MaxBatchRecords
	w.msg.Open(r.source.env, r.batch, i)
	w.enter(r, &w.msg)
}

// enter leads a message from its source into the graph.
func (w *worker) enter(r *run, m *flow.Message) {
	if err := w.admit(m.Record()); err != nil {
		w.settleFailure(failurePoint{name: r.source.spec.Name, policy: r.source.spec.OnError, errors: r.source.spec.Errors,
			target: parkedTarget{source: true}}, m, err, 0)
		return
	}
	w.follow(r.source.spec.Out, m, 0)
}

// admit refuses what the source could not take whole and what is over the limit.
func (w *worker) admit(rec *flow.Record) *flow.Error {
	if rec.Failure != nil {
		return rec.Failure
	}
	if most := w.p.prog.Limits.MaxMessage; int64(len(rec.Body)) > most {
		return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the payload has %d bytes, max_message is %d", len(rec.Body), most)
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

// walk takes m along e until its branch ends. Chains are a loop; only fan-out recurses.
func (w *worker) walk(e pipelines.Edge, m *flow.Message, depth int) {
	for !e.Sink {
		n := &w.p.prog.Nodes[e.Index]
		c := &w.counts[e.Index]
		c.in++
		w.node = e.Index
		em := w.emitter(depth)
		em.Reset()
		state := m.Mark()
		if err := w.process(n, m, em); err != nil {
			m.Rollback(state)
			c.errors++
			w.fail(e.Index, m, err, depth)
			return
		}
		c.out += int64(len(em.Emitted))
		switch {
		case len(em.Emitted) == 1 && len(n.Ports[em.Emitted[0].Port]) == 1:
			next := em.Emitted[0]
			e, m = n.Ports[next.Port][0], next.Message
		case len(em.Emitted) == 0:
			if !em.WasHeld() {
				w.run.ended(w.rec, endOf(em.Settled))
			}
			return
		default:
			w.fan(n, em, depth)
			return
		}
	}
	w.deliver(e.Index, m, nil)
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
		if out.Message != &w.msg {
			em.Recycle(out.Message)
		}
	}
}

// process runs one node; a panic becomes an error of class poison.
func (w *worker) process(n *pipelines.Node, m *flow.Message, em *flow.Emitter) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.p.log.Error("node panicked", "node", n.Name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = flow.Errorf(flow.Poison, flow.CodePanic, "%s panicked: %v", n.Verb, r)
		}
	}()
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
	return n.Processor.Process(m, em)
}

// emitter lends the emitter of a depth of fan-out; a message uses one depth at a time.
func (w *worker) emitter(depth int) *flow.Emitter {
	for len(w.emitters) <= depth {
		em := &flow.Emitter{}
		em.Bind(w.p.hard, w.hold)
		w.emitters = append(w.emitters, em)
	}
	return w.emitters[depth]
}

// deliver encodes m for a sink and puts it into the run. letter is set for a dead letter.
func (w *worker) deliver(sink int, m *flow.Message, letter *flow.Error) {
	s := &w.p.prog.Sinks[sink]
	o := w.run.newOut(sink)
	order := o.Order
	if err := w.encode(s, m, o, letter); err != nil {
		w.run.dropOut(sink)
		w.p.count.sinks[sink].errors.Add(1)
		w.failSink(sink, m, err, letter)
		return
	}
	if s.Optional {
		w.run.ended(w.rec, flow.Delivered)
		return
	}
	o.Index, o.Order = w.rec, order
	if letter != nil {
		w.run.markLetter(o, letter)
	}
}

func (w *worker) encode(s *pipelines.Sink, m *flow.Message, o *flow.Outgoing, letter *flow.Error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = flow.Errorf(flow.Poison, flow.CodePanic, "%s panicked: %v", s.Connector, r)
		}
	}()
	body, err := w.payload(s, m)
	if err != nil {
		return flow.AsError(err, flow.Permanent, flow.CodeEncode)
	}
	o.Fill(m, body)
	if letter != nil {
		if err := w.letter(s, m, o, letter); err != nil {
			return err
		}
	}
	if err := s.Preparer.Prepare(m, o); err != nil {
		return flow.AsError(err, flow.Permanent, flow.CodeEncode)
	}
	return nil
}

// payload is the body as the sink writes it; untouched bytes are not copied.
func (w *worker) payload(s *pipelines.Sink, m *flow.Message) ([]byte, error) {
	if s.Encode == nil && !m.Body.Written() {
		return m.Payload(), nil
	}
	if s.Encode == nil && m.Body.None() {
		return nil, nil
	}
	buf := w.run.room(len(m.Payload()) + 512)
	start := len(buf)
	var err error
	if s.Encode == nil {
		buf, err = m.Body.AppendTo(buf)
	} else {
		var none bool
		if buf, none, err = s.Encode(buf, m); none {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	w.run.buf = buf
	return buf[start:len(buf):len(buf)], nil
}
