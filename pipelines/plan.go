package pipelines

import (
	"fmt"
	"sort"
)

// Action is what a reload does with one pipeline.
type Action string

// The actions.
const (
	// Keep: nothing changed, nothing happens to it.
	Keep Action = "keep"
	// Start: new.
	Start Action = "start"
	// Stop: gone.
	Stop Action = "stop"
	// Swap: sources and sinks are the same, only what lies between changed.
	Swap Action = "swap"
	// Replace: a source, a sink or what bounds them changed.
	Replace Action = "replace"
)

// PlanStep is what a reload does with one pipeline, and why. Reasons name parts and fields, never values.
type PlanStep struct {
	Pipeline string   `json:"pipeline"`
	Action   Action   `json:"action"`
	Reasons  []string `json:"reasons,omitempty"`
}

// Plan compares what runs with what should run, pipeline by pipeline, sorted by name. It is a pure function: Plan(a, a) is all Keep.
func Plan(running, wanted []*Program) []PlanStep {
	old, next := byName(running), byName(wanted)
	names := map[string]bool{}
	for name := range old {
		names[name] = true
	}
	for name := range next {
		names[name] = true
	}
	steps := make([]PlanStep, 0, len(names))
	for name := range names {
		steps = append(steps, planOne(name, old[name], next[name]))
	}
	sort.Slice(steps, func(i, j int) bool { return steps[i].Pipeline < steps[j].Pipeline })
	return steps
}

func byName(programs []*Program) map[string]*Program {
	m := make(map[string]*Program, len(programs))
	for _, p := range programs {
		m[p.Name] = p
	}
	return m
}

func planOne(name string, old, next *Program) PlanStep {
	switch {
	case old == nil:
		return PlanStep{Pipeline: name, Action: Start}
	case next == nil:
		return PlanStep{Pipeline: name, Action: Stop}
	case old.Hash == next.Hash:
		return PlanStep{Pipeline: name, Action: Keep}
	}
	if outer := outerChanges(old, next); len(outer) > 0 {
		return PlanStep{Pipeline: name, Action: Replace, Reasons: outer}
	}
	return PlanStep{Pipeline: name, Action: Swap, Reasons: innerChanges(old, next)}
}

// outerChanges are the differences that a swap of the graph cannot carry.
func outerChanges(old, next *Program) []string {
	var reasons []string
	reasons = append(reasons, compareParts("source", hashes(old.Sources, sourceID), hashes(next.Sources, sourceID))...)
	reasons = append(reasons, compareParts("sink", hashes(old.Sinks, sinkID), hashes(next.Sinks, sinkID))...)
	if old.Order != next.Order {
		reasons = append(reasons, "order changed")
	}
	if old.Limits != next.Limits {
		reasons = append(reasons, "limits changed")
	}
	return reasons
}

// innerChanges are the differences between the graphs.
func innerChanges(old, next *Program) []string {
	reasons := compareParts("node", hashes(old.Nodes, nodeID), hashes(next.Nodes, nodeID))
	if len(reasons) == 0 {
		reasons = []string{"edges, vars or on_error changed"}
	}
	return reasons
}

type identified struct{ name, hash string }

func sourceID(s *Source) identified {
	return identified{s.Name, fmt.Sprint(s.Connector, s.Hash, s.Order)}
}

func sinkID(s *Sink) identified {
	return identified{s.Name, fmt.Sprint(s.Connector, s.Hash, s.Optional)}
}

func nodeID(n *Node) identified { return identified{n.Name, n.Verb + n.Hash} }

func hashes[T any](parts []T, id func(*T) identified) []identified {
	ids := make([]identified, len(parts))
	for i := range parts {
		ids[i] = id(&parts[i])
	}
	return ids
}

func compareParts(kind string, old, next []identified) []string {
	before := map[string]string{}
	for _, o := range old {
		before[o.name] = o.hash
	}
	var reasons []string
	for _, n := range next {
		h, had := before[n.name]
		switch {
		case !had:
			reasons = append(reasons, kind+" "+n.name+" added")
		case h != n.hash:
			reasons = append(reasons, kind+" "+n.name+" changed")
		}
		delete(before, n.name)
	}
	for _, o := range old {
		if _, gone := before[o.name]; gone {
			reasons = append(reasons, kind+" "+o.name+" removed")
		}
	}
	return reasons
}
