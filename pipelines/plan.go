package pipelines

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
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
	outer, inner := outerChanges(old, next), innerChanges(old, next)
	if len(outer)+len(inner) == 0 {
		inner = []string{"vars changed"} // all else has a name
	}
	if len(outer) > 0 || old.ExactlyOnce || next.ExactlyOnce { // where all is one transaction, nothing can be exchanged alone
		return PlanStep{Pipeline: name, Action: Replace, Reasons: append(outer, inner...)}
	}
	return PlanStep{Pipeline: name, Action: Swap, Reasons: inner}
}

// outerChanges are the differences that a swap of the graph cannot carry.
func outerChanges(old, next *Program) []string {
	var reasons []string
	reasons = append(reasons, compareParts("source", parts(old.Sources, openedSource), parts(next.Sources, openedSource))...)
	reasons = append(reasons, compareParts("sink", parts(old.Sinks, openedSink), parts(next.Sinks, openedSink))...)
	if old.Order != next.Order && !slices.ContainsFunc(reasons, func(r string) bool { return strings.HasSuffix(r, "order changed") }) {
		reasons = append(reasons, "order changed")
	}
	if old.Limits != next.Limits {
		reasons = append(reasons, "limits changed")
	}
	return reasons
}

// innerChanges are the differences between the graphs.
func innerChanges(old, next *Program) []string {
	reasons := comparePrograms(&view{Program: old}, &view{Program: next})
	policies := 0
	for _, r := range reasons {
		if strings.Contains(r, "on_error") {
			policies++
		}
	}
	if policies > 1 && policies == len(next.Sources)+len(next.Nodes)+len(next.Sinks) { // it is the pipeline's that has changed
		reasons = append([]string{"on_error changed"}, comparePrograms(&view{old, true}, &view{next, true})...)
	}
	return reasons
}

func comparePrograms(old, next *view) []string {
	var reasons []string
	reasons = append(reasons, compareParts("source", parts(old.Sources, old.source), parts(next.Sources, next.source))...)
	reasons = append(reasons, compareParts("node", parts(old.Nodes, old.node), parts(next.Nodes, next.node))...)
	reasons = append(reasons, compareParts("sink", parts(old.Sinks, old.sink), parts(next.Sinks, next.sink))...)
	return reasons
}

// view is what is compared of the graph of a program.
type view struct {
	*Program
	noPolicies bool
}

// compared is a part with what is compared of it: fields by name, or a hash of all where they are not known.
type compared struct {
	name   string
	fields map[string]string
	whole  string
	// added and removed are told of it; where they are not, another comparison does.
	told bool
}

func parts[T any](all []T, of func(*T) compared) []compared {
	out := make([]compared, len(all))
	for i := range all {
		out[i] = of(&all[i])
	}
	return out
}

func openedSource(s *Source) compared {
	f := with(s.Fields, map[string]string{"connector": s.Connector, "order": s.Order.String()})
	return compared{name: s.Name, fields: f, whole: s.Connector + s.Opened + s.Order.String() + fmt.Sprint(s.Traits), told: true}
}

func openedSink(s *Sink) compared {
	f := with(s.Fields, map[string]string{"connector": s.Connector, "optional": strconv.FormatBool(s.Optional)})
	return compared{name: s.Name, fields: f, whole: s.Connector + s.Opened + fmt.Sprint(s.Traits, s.Optional), told: true}
}

func (p *view) source(s *Source) compared {
	f := map[string]string{
		"decode": s.Fields["decode"], "schema": s.Fields["schema"], "on_error": p.policyText(&s.OnError), "readers": p.edgeText(s.Out, s.Errors),
	}
	return compared{name: s.Name, fields: f, whole: fmt.Sprint(f)}
}

func (p *view) node(n *Node) compared {
	f := with(n.Fields, map[string]string{
		"on_error": p.policyText(&n.OnError), "readers": p.edgeText(append(slices.Clone(n.Ports), n.Errors)...),
	})
	return compared{name: n.Name, fields: f, whole: fmt.Sprint(n.Verb, n.Hash, f), told: true}
}

func (p *view) sink(s *Sink) compared {
	f := map[string]string{
		"encode": s.Fields["encode"], "on_error": p.policyText(&s.OnError), "readers": p.edgeText(s.Errors),
	}
	return compared{name: s.Name, fields: f, whole: fmt.Sprint(f)}
}

// policyText and edgeText name parts, whose indices differ between programs.
func (p *view) policyText(o *Policy) string {
	if p.noPolicies {
		return ""
	}
	c, sink := *o, ""
	if c.Then == ThenSink {
		sink = p.Sinks[c.Sink].Name
	}
	c.Sink = 0
	return fmt.Sprint(c, sink)
}

func (p *view) edgeText(ports ...[]Edge) string {
	var b strings.Builder
	for _, edges := range ports {
		for _, e := range edges {
			if e.Sink {
				put(&b, "sink", p.Sinks[e.Index].Name)
			} else {
				put(&b, "node", p.Nodes[e.Index].Name)
			}
		}
		put(&b, "")
	}
	return b.String()
}

// with is fields and more of them.
func with(fields, more map[string]string) map[string]string {
	out := maps.Clone(more)
	for name, hash := range fields {
		out[name] += "|" + hash
	}
	return out
}

// compareParts says which parts were added, changed and removed, and which of their fields.
func compareParts(kind string, old, next []compared) []string {
	before := map[string]compared{}
	for _, o := range old {
		before[o.name] = o
	}
	var reasons []string
	for _, n := range next {
		o, had := before[n.name]
		delete(before, n.name)
		switch {
		case !had && n.told:
			reasons = append(reasons, kind+" "+n.name+" added")
		case had && o.whole != n.whole:
			reasons = append(reasons, changed(kind, o, n)...)
		}
	}
	for _, o := range old {
		if _, gone := before[o.name]; gone && o.told {
			reasons = append(reasons, kind+" "+o.name+" removed")
		}
	}
	return reasons
}

// changed names the fields in which a part differs.
func changed(kind string, old, next compared) []string {
	names := map[string]bool{}
	for name := range old.fields {
		names[name] = true
	}
	for name := range next.fields {
		names[name] = true
	}
	var fields []string
	for name := range names {
		if old.fields[name] != next.fields[name] {
			fields = append(fields, name)
		}
	}
	sort.Strings(fields)
	if len(fields) == 0 {
		return []string{kind + " " + next.name + " changed"} // by what it reads
	}
	return []string{kind + " " + next.name + ": " + strings.Join(fields, ", ") + " changed"}
}
