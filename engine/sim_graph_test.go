package engine

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines"
)

// build draws the pipeline: sources, a forest of nodes, sinks, and policies.
func (w *world) build() {
	r := w.rng
	paths := document.NewPaths()
	paths.Freeze()
	p := &pipelines.Program{Name: "sim", Hash: "sim", Paths: paths, Limits: flow.Limits{
		MaxMessage: 150 + int64(r.IntN(100)), InFlight: 4 + r.IntN(60), InFlightBytes: 400 + int64(r.IntN(10000)),
	}}
	w.program = p
	p.Order = []pipelines.Order{pipelines.ByKey, pipelines.ByKey, pipelines.BySource, pipelines.Unordered}[r.IntN(4)]
	sources, nodes, sinks := 1+r.IntN(3), r.IntN(6), 1+r.IntN(4)
	dead := sinks // the sink for dead letters
	for i := range sources {
		p.Sources = append(p.Sources, pipelines.Source{
			Name: "s" + strconv.Itoa(i), Connector: "sim", Format: document.Bytes, Order: p.Order, Open: w.openSource(i),
		})
		w.sources = append(w.sources, newSimSource(w, i))
		p.Sources[i].Traits.Stream = w.sources[i].kind == onceKind
	}
	for i := range sinks + 1 {
		s := newSimSink(w, i)
		w.sinks = append(w.sinks, s)
		p.Sinks = append(p.Sinks, pipelines.Sink{
			Name: "o" + strconv.Itoa(i), Connector: "sim", Preparer: s, Open: s.open, Traits: flow.Traits{Headers: true},
			Optional: r.IntN(6) == 0,
		})
	}
	ports := w.addNodes(nodes)
	for i := range sinks {
		for _, at := range r.Perm(len(ports))[:min(len(ports), 1+r.IntN(2))] {
			*ports[at] = append(*ports[at], pipelines.Edge{Sink: true, Index: i})
		}
	}
	handler := len(p.Nodes) // reads the errors of sinks, and leads to the dead-letter sink as an ordinary message
	w.addNode(handler, "pass", 1)
	p.Nodes[handler].Ports[0] = []pipelines.Edge{{Sink: true, Index: dead}}
	p.Nodes[handler].OnError = w.policy(dead, false, false)
	for i := range p.Nodes[:handler] {
		p.Nodes[i].OnError = w.policy(dead, true, true)
		p.Nodes[i].Errors = []pipelines.Edge{{Sink: true, Index: dead}}
	}
	for i := range p.Sinks[:dead] {
		p.Sinks[i].OnError = w.policy(dead, true, false)
		p.Sinks[i].Errors = []pipelines.Edge{{Index: handler}}
	}
	for i := range p.Sources {
		// What is wrong with a record at its source never heals, so it must not wait for somebody.
		p.Sources[i].OnError = pipelines.Policy{Then: []pipelines.Then{pipelines.ThenSink, pipelines.ThenDrop}[r.IntN(2)], Sink: dead}
	}
	p.Sinks[dead].OnError = w.policy(dead, false, false)
	p.Sinks[dead].OnError.Then = pipelines.ThenPause
	for i := range p.Sinks {
		if p.Sinks[i].OnError.Then != pipelines.ThenErrors {
			p.Sinks[i].Errors = nil
		}
	}
	w.describe()
}

// addNodes hangs each node below a source or an earlier node and returns all ways out.
func (w *world) addNodes(n int) (ports []*[]pipelines.Edge) {
	p, r := w.program, w.rng
	for i := range p.Sources {
		ports = append(ports, &p.Sources[i].Out)
	}
	p.Nodes = make([]pipelines.Node, 0, n+1)
	for i := range n {
		at := ports[r.IntN(len(ports))]
		*at = append(*at, pipelines.Edge{Index: i})
		kind := []string{"pass", "filter", "route", "split", "pass", "hold"}[r.IntN(5+w.rng.IntN(2))]
		w.holdsBack = w.holdsBack || kind == "hold"
		outs := 1
		if kind == "route" {
			outs = 2 + r.IntN(2)
		}
		w.addNode(i, kind, outs)
		for j := range outs {
			ports = append(ports, &p.Nodes[i].Ports[j])
		}
	}
	return ports
}

func (w *world) addNode(i int, kind string, outs int) {
	name := "n" + strconv.Itoa(i)
	w.program.Nodes = append(w.program.Nodes, pipelines.Node{
		Name: name, Owner: name, Verb: kind, Ports: make([][]pipelines.Edge, outs),
		Processor: &simNode{w: w, index: i, name: name, trouble: uint64(w.rng.IntN(3) * w.rng.IntN(12))},
	})
}

func (w *world) policy(dead int, errors, goesOn bool) pipelines.Policy {
	r := w.rng
	p := pipelines.Policy{
		Retries: []int{-1, -1, 0, 1, 3}[r.IntN(5)], MinBackoff: 50 * time.Millisecond, MaxBackoff: time.Second, Sink: dead,
	}
	thens := []pipelines.Then{pipelines.ThenSink, pipelines.ThenSink, pipelines.ThenSink, pipelines.ThenDrop, pipelines.ThenPause}
	if errors {
		thens = append(thens, pipelines.ThenErrors, pipelines.ThenErrors)
	}
	if goesOn {
		thens = append(thens, pipelines.ThenContinue)
	}
	if r.IntN(10) == 0 {
		thens = append(thens, pipelines.ThenStop)
	}
	p.Then = thens[r.IntN(len(thens))]
	return p
}

func (w *world) describe() {
	p := w.program
	w.graph = append(w.graph, fmt.Sprintf("order %s, limits %+v", p.Order, p.Limits))
	for i, s := range p.Sources {
		w.graph = append(w.graph, fmt.Sprintf("%s %s out %v on_error %+v", s.Name, w.sources[i].kind, s.Out, s.OnError))
	}
	for _, n := range p.Nodes {
		w.graph = append(w.graph, fmt.Sprintf("%s %s ports %v on_error %+v", n.Name, n.Verb, n.Ports, n.OnError))
	}
	for i, s := range p.Sinks {
		w.graph = append(w.graph, fmt.Sprintf("%s optional %v on_error %+v trouble %d outage %v", s.Name, s.Optional, s.OnError,
			w.sinks[i].trouble, w.sinks[i].outage))
	}
}

func (w *world) openSource(i int) func(context.Context, flow.Host) (flow.Source, error) {
	return func(context.Context, flow.Host) (flow.Source, error) {
		if err := w.mayOpen(); err != nil {
			return nil, err
		}
		return &simReader{simSource: w.sources[i]}, nil
	}
}

// simNode is a processor that filters, routes, splits and fails as the seed says.
type simNode struct {
	w       *world
	index   int
	name    string
	trouble uint64 // of a hundred messages
}

type output struct {
	port int
	id   string
}

// outputs is what a node makes of a message that it does not fail.
func (w *world) outputs(node int, id string) []output {
	n := &w.program.Nodes[node]
	draw := w.chance(n.Name, id, 1)
	next := id + "/" + strconv.Itoa(node)
	switch n.Verb {
	case "filter", "hold":
		if draw%3 == 0 {
			return nil
		}
	case "route":
		return []output{{int(draw % uint64(len(n.Ports))), next}}
	case "split":
		var out []output
		for i := range draw % 4 {
			out = append(out, output{0, next + "/" + strconv.Itoa(int(i))})
		}
		return out
	}
	return []output{{0, next}}
}

// Concurrency implements flow.Waiter: some nodes wait, each message for another while, and so records overtake each other at them.
func (n *simNode) Concurrency() int {
	if n.w.chance(n.name, "waits", 11)%4 != 0 {
		return 1
	}
	return 2 + int(n.w.chance(n.name, "waits", 12)%8)
}

// Process implements flow.Processor.
func (n *simNode) Process(m *flow.Message, e *flow.Emitter) error {
	id := m.ID()
	if n.Concurrency() > 1 {
		time.Sleep(time.Duration(n.w.chance(n.name, id, 13)%5) * time.Millisecond)
	}
	if err := n.fail(id); err != nil {
		m.SetKey([]byte("to be rolled back"))
		return err
	}
	if n.w.program.Nodes[n.index].Verb == "hold" {
		go n.release(e.Hold(m), id)
		return nil
	}
	n.w.note(fact{"passed", n.index, false, id})
	outs := n.w.outputs(n.index, id)
	for i, out := range outs {
		c := m
		if n.w.program.Nodes[n.index].Verb == "split" {
			c = e.Copy(m)
			c.ExtendID(n.index)
			c.ExtendID(i)
		} else {
			c.ExtendID(n.index)
		}
		e.Emit(flow.Port(out.port), c)
	}
	return nil
}

// release ends a held message after a while: it goes on, ends, or fails.
func (n *simNode) release(h *flow.Held, id string) {
	time.Sleep(time.Duration(n.w.chance(n.name, id, 9)%50) * time.Millisecond)
	if n.w.chance(n.name, id, 10)%20 == 0 && !n.w.isHealed() {
		n.w.note(fact{"refused", n.index, false, id})
		h.Fail(context.Background(), flow.Errorf(flow.Permanent, flow.CodeExpired, "held for too long"))
		return
	}
	n.w.note(fact{"passed", n.index, false, id})
	if len(n.w.outputs(n.index, id)) == 0 {
		h.Settle(context.Background(), flow.Filtered)
		return
	}
	h.Message.ExtendID(n.index)
	h.Emit(context.Background(), 0)
}

func (n *simNode) fail(id string) error {
	if n.w.isHealed() || n.w.chance(n.name, id, 2)%100 >= n.trouble {
		return nil
	}
	switch draw := n.w.chance(n.name, id, 3); draw % 4 {
	case 0:
		n.w.note(fact{"refused", n.index, false, id})
		n.w.log("refuses", n.name, id)
		return flow.Errorf(flow.Permanent, flow.CodeRefused, "permanent")
	case 1:
		n.w.note(fact{"refused", n.index, false, id})
		n.w.log("panics", n.name, id)
		panic("simulated")
	default:
		if n.w.noteUpTo(fact{"transient", n.index, false, id}, int(draw/4%5)) {
			n.w.log("transient", n.name, id)
			return flow.Errorf(flow.Transient, flow.CodeUnavailable, "transient")
		}
	}
	return nil
}
