package engine

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// Balance is the account of a pipeline: In is always the sum of the ends and InFlight. Each part is counted for itself, so a
// difference shows a fault. A record that only optional sinks were to get counts as delivered when one of their queues has taken it,
// and as dropped when none could. Returned records went back to their source unsettled (a stop, an abandoned lane); they are in no other
// part.
type Balance struct {
	In           int64 `json:"in"`
	Delivered    int64 `json:"delivered"`
	Filtered     int64 `json:"filtered"`
	Dropped      int64 `json:"dropped"`
	DeadLettered int64 `json:"dead_lettered"`
	InFlight     int64 `json:"in_flight"`

	Returned int64 `json:"returned"`
	// Retries are attempts after a failure; Resent are messages sent again after an earlier one of their key, to keep the order;
	// OptionalDropped is what optional sinks could not take.
	Retries         int64 `json:"retries"`
	Resent          int64 `json:"resent"`
	OptionalDropped int64 `json:"optional_dropped"`
}

// Even reports whether every record is accounted for.
func (b Balance) Even() bool {
	return b.In == b.Delivered+b.Filtered+b.Dropped+b.DeadLettered+b.InFlight
}

// NodeCount is what one node did: messages in, messages that left it, failures.
type NodeCount struct {
	Name   string `json:"name"`
	In     int64  `json:"in"`
	Out    int64  `json:"out"`
	Errors int64  `json:"errors"`
}

// SinkCount is what one sink did: messages confirmed, sends that failed, and what an optional sink did not get.
type SinkCount struct {
	Name      string `json:"name"`
	Delivered int64  `json:"delivered"`
	Errors    int64  `json:"errors"`
	Dropped   int64  `json:"dropped"`
	// NotOpen says why an optional sink is not open; empty when it is. Secrets are masked.
	NotOpen string `json:"not_open,omitempty"`
}

// counters are what a pipeline has counted, over all its revisions: what goes by a name goes on as long as the name does.
type counters struct {
	in, inFlight, returned           atomic.Int64
	ends                             [flow.DeadLettered + 1]atomic.Int64
	retries, resent, optionalDropped atomic.Int64

	mu    sync.Mutex
	nodes map[string]*nodeCounter
	sinks map[string]*sinkCounter
}

type nodeCounter struct{ in, out, errors atomic.Int64 }

type sinkCounter struct{ delivered, errors, dropped atomic.Int64 }

func newCounters() *counters {
	return &counters{nodes: map[string]*nodeCounter{}, sinks: map[string]*sinkCounter{}}
}

// nodesOf are the counters of a program's nodes, in its order.
func (c *counters) nodesOf(prog *pipelines.Program) []*nodeCounter {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*nodeCounter, len(prog.Nodes))
	for i := range out {
		out[i] = named(c.nodes, prog.Nodes[i].Name)
	}
	return out
}

func (c *counters) sink(name string) *sinkCounter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return named(c.sinks, name)
}

// forget drops what counts for names that the program does not have.
func (c *counters) forget(prog *pipelines.Program) {
	nodes, sinks := map[string]bool{}, map[string]bool{}
	for i := range prog.Nodes {
		nodes[prog.Nodes[i].Name] = true
	}
	for i := range prog.Sinks {
		sinks[prog.Sinks[i].Name] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.nodes, func(name string, _ *nodeCounter) bool { return !nodes[name] })
	maps.DeleteFunc(c.sinks, func(name string, _ *sinkCounter) bool { return !sinks[name] })
}

func named[T any](m map[string]*T, name string) *T {
	v, ok := m[name]
	if !ok {
		v = new(T)
		m[name] = v
	}
	return v
}

func (c *counters) balance() Balance {
	return Balance{
		In: c.in.Load(), InFlight: c.inFlight.Load(), Returned: c.returned.Load(),
		Delivered: c.ends[flow.Delivered].Load(), Filtered: c.ends[flow.Filtered].Load(),
		Dropped: c.ends[flow.Dropped].Load(), DeadLettered: c.ends[flow.DeadLettered].Load(),
		Retries: c.retries.Load(), Resent: c.resent.Load(), OptionalDropped: c.optionalDropped.Load(),
	}
}

// localCount is a worker's own count of a node, folded into the shared one once per batch.
type localCount struct{ in, out, errors int64 }

func (g *graph) fold(local []localCount) {
	for i := range local {
		l := &local[i]
		if l.in == 0 {
			continue
		}
		n := g.nodes[i]
		n.in.Add(l.in)
		n.out.Add(l.out)
		n.errors.Add(l.errors)
		*l = localCount{}
	}
}
