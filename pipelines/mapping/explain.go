package mapping

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millstream/millstream/pipelines"
)

// Promise is what a pipeline promises from one source to one sink.
type Promise struct {
	Source, Sink string
	// Paths are the ways between them, each the names of the parts on it.
	Paths [][]string
	// More is set when there are more paths than are listed.
	More     bool
	Delivery string
	Order    string
	Repeats  []string
	Losses   []string
	Mapping  []Entry
	// Unknown is set when the table does not have one of the two connectors.
	Unknown bool
	// Refused are the parts that get lost and of which the file does not say that they may.
	Refused []string
}

// mostPaths bounds how many paths of a pipeline are followed: a graph of n diamonds has 2ⁿ.
const mostPaths = 256

// Explain follows every path from a source to a sink. allow is the file's allow_loss; unmatched are the routers with unmatched: drop.
func Explain(p *pipelines.Program, allow, unmatched []string) []Promise {
	e := explainer{program: p, allow: allow, unmatched: unmatched}
	for i := range p.Sources {
		e.paths, e.more = nil, false
		s := &p.Sources[i]
		e.follow([]string{s.Name}, nil, s.Out)
		for k := range p.Sinks {
			if found := e.to(k); len(found) > 0 {
				e.promises = append(e.promises, e.promise(s, &p.Sinks[k], found))
			}
		}
	}
	return e.promises
}

type explainer struct {
	program          *pipelines.Program
	allow, unmatched []string
	paths            []path
	more             bool
	promises         []Promise
}

// path leads from a source to a sink.
type path struct {
	names []string
	nodes []int
	sink  int
}

func (e *explainer) to(sink int) []path {
	var found []path
	for _, p := range e.paths {
		if p.sink == sink {
			found = append(found, p)
		}
	}
	return found
}

func (e *explainer) follow(names []string, nodes []int, edges []pipelines.Edge) {
	for _, edge := range edges {
		if len(e.paths) >= mostPaths {
			e.more = true
			return
		}
		if edge.Sink {
			sink := &e.program.Sinks[edge.Index]
			e.paths = append(e.paths, path{append(slices.Clone(names), sink.Name), slices.Clone(nodes), edge.Index})
			continue
		}
		n := &e.program.Nodes[edge.Index]
		for port, out := range n.Ports {
			name := n.Name
			if port < len(n.PortNames) {
				name += "." + n.PortNames[port]
			}
			e.follow(append(slices.Clone(names), name), append(slices.Clone(nodes), edge.Index), out)
		}
	}
}

func (e *explainer) promise(s *pipelines.Source, sink *pipelines.Sink, paths []path) Promise {
	p := Promise{Source: s.Name, Sink: sink.Name, More: e.more, Delivery: "at least once", Order: orderOf(s)}
	on := []int{}
	for _, one := range paths {
		p.Paths = append(p.Paths, one.names)
		for _, n := range one.nodes {
			if !slices.Contains(on, n) {
				on = append(on, n)
			}
		}
	}
	slices.Sort(on)
	if e.program.ExactlyOnce {
		p.Delivery = "exactly once, for those who read committed records"
	}
	if sink.Optional {
		p.Delivery = "at most once where the sink falls behind: it is optional"
		p.Losses = append(p.Losses, sink.Name+" is optional: what it cannot take is dropped and counted")
	}
	if sink.Connector == "drop" {
		p.Losses = append(p.Losses, sink.Name+" drops all that comes, by the file's word")
	}
	p.Repeats = e.repeats(s, paths)
	p.Losses = append(p.Losses, e.losses(s, sink, on)...)
	mapped, ok := Between(s.Connector, sink.Connector)
	p.Mapping, p.Unknown = mapped, !ok
	for _, m := range mapped {
		if m.Class == Dropped && !slices.Contains(e.allow, m.Part) {
			p.Refused = append(p.Refused, m.Part)
		}
	}
	return p
}

func orderOf(s *pipelines.Source) string {
	switch s.Order {
	case pipelines.BySource:
		return "as the source gave them"
	case pipelines.Unordered:
		return "none"
	case pipelines.ByKey:
		return "of messages with one key; those without keep the source's, so that one that fails holds up all of them: give keys, or write order: none"
	}
	return s.Order.String()
}

func (e *explainer) repeats(s *pipelines.Source, paths []path) []string {
	var all []string
	switch {
	case e.program.ExactlyOnce:
		all = append(all, "what was under way at a crash is done again, also calls to others; of what was written, only one try is committed")
	case s.Traits.Finite:
		all = append(all, "each run begins at the source's beginning, unless it resumes")
	default:
		all = append(all, "what was under way at a crash, was sent and not confirmed, or was sent behind a message of its key that is tried again, comes again")
	}
	if len(paths) > 1 {
		all = append(all, fmt.Sprintf("%d paths lead here: a message that passes several comes several times", len(paths)))
	}
	for _, n := range e.program.Nodes {
		if n.Verb == "split" && slices.ContainsFunc(paths, func(p path) bool { return slices.Contains(p.names, n.Name) }) {
			all = append(all, n.Name+" splits: when one element is held back, others of its message may come again")
		}
	}
	return all
}

// losses are the words of the file by which a message does not arrive.
func (e *explainer) losses(s *pipelines.Source, sink *pipelines.Sink, nodes []int) []string {
	var all []string
	failed := failures{where: map[string][]string{}}
	failed.add(e.program, s.Name, s.OnError)
	for _, i := range nodes {
		n := &e.program.Nodes[i]
		switch {
		case n.Verb == "filter" || n.Verb == "sample":
			all = append(all, n.Name+" ("+n.Verb+") lets only some through")
		case n.Verb == "route" && slices.Contains(e.unmatched, n.Owner):
			all = append(all, n.Name+" drops what no case takes (unmatched: drop)")
		}
		failed.add(e.program, n.Name, n.OnError)
	}
	failed.add(e.program, sink.Name, sink.OnError)
	for _, what := range failed.order {
		all = append(all, what+" "+strings.Join(failed.where[what], ", "))
	}
	return all
}

// failures collects where messages that fail take the same way.
type failures struct {
	where map[string][]string
	order []string
}

func (f *failures) add(p *pipelines.Program, name string, policy pipelines.Policy) {
	what := ""
	switch policy.Then {
	case pipelines.ThenDrop:
		what = "dropped is what fails at"
	case pipelines.ThenSink:
		target := p.Sinks[policy.Sink].Name
		if target == name {
			return
		}
		what = "dead letters to " + target + " are what fails at"
	case pipelines.ThenErrors:
		what = "readers of .errors get what fails at"
	case pipelines.ThenPause, pipelines.ThenStop, pipelines.ThenContinue:
		return
	}
	if f.where[what] == nil {
		f.order = append(f.order, what)
	}
	f.where[what] = append(f.where[what], name)
}

// Arrow joins the parts of a path.
func Arrow(names []string) string { return strings.Join(names, " → ") }
