package pipelines

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// build compiles all parts, in an order in which each comes after what it reads, and joins them.
func (l *loader) build() {
	l.prog.Limits = flow.Limits{
		MaxMessage: int64(l.file.Limits.MaxMessage), InFlight: l.file.Limits.InFlight,
		InFlightBytes: int64(l.file.Limits.InFlightBytes),
	}
	l.prog.Order = map[string]Order{"source": BySource, "none": Unordered}[l.file.Order]
	l.prog.Paths = document.NewPaths()
	l.makeRoom()
	g, _ := l.graph()
	order, ok := g.Order()
	if !ok {
		return // the cycle is a finding; what hangs on it would only add to it
	}
	formats := l.formats(order)
	for _, n := range order {
		p := l.parts[n]
		switch p.kind {
		case sourcePart:
			l.buildSource(p)
		case nodePart:
			l.buildNode(p, formats[n])
		case sinkPart:
			l.buildSink(p, formats[n])
		}
	}
	if l.findings.HasErrors() {
		l.checkUse()
		return
	}
	l.connect()
	l.applyPolicies()
	l.checkUse()
	l.prog.Paths.Freeze()
}

func (l *loader) makeRoom() {
	for _, p := range l.parts {
		switch p.kind {
		case sourcePart:
			l.prog.Sources = append(l.prog.Sources, Source{Name: p.name})
		case sinkPart:
			l.prog.Sinks = append(l.prog.Sinks, Sink{Name: p.name})
		case nodePart:
		}
	}
}

// formats says how body reads at each part: as its sources decode it, where all agree; as JSON otherwise.
func (l *loader) formats(order []int) []document.Format {
	number := map[*part]int{}
	for i, p := range l.parts {
		number[p] = i
	}
	formats := make([]document.Format, len(l.parts))
	for _, n := range order {
		p := l.parts[n]
		if p.kind == sourcePart {
			formats[n] = l.format(p.codec)
			continue
		}
		for i, r := range p.from {
			f := formats[number[r.target]]
			if i > 0 && f != formats[n] {
				f = document.JSON
			}
			formats[n] = f
		}
	}
	return formats
}

var formatNames = map[string]document.Format{"json": document.JSON, "text": document.Text, "bytes": document.Bytes}

// format reads a decode or encode; JSON when there is none.
func (l *loader) format(c *codec) document.Format {
	if c == nil || len(c.names) == 0 {
		return document.JSON
	}
	f := document.JSON
	for _, name := range c.names {
		known, ok := formatNames[name.Text]
		if !ok {
			l.findings.Add(name.Whole(diag.UnknownName, fmt.Sprintf("unknown codec %q", name.Text), "codecs: json, text, bytes"))
			continue
		}
		f = known
	}
	if len(c.names) > 1 {
		at := c.names[1]
		l.findings.Add(at.Whole(diag.ConflictingKey, "two formats in one list", "name one of json, text, bytes"))
	}
	return f
}

func (l *loader) builder(p *part, v *yamldoc.Value, name string, f document.Format) *config.Builder {
	return &config.Builder{
		Findings: l.findings, Value: v, Name: name, Pipeline: l.prog.Name, Dir: filepath.Dir(l.path),
		Scope: expression.Scope{Paths: l.prog.Paths, Vars: l.vars, Format: f},
	}
}

func (l *loader) buildSource(p *part) {
	if p.source == nil {
		return
	}
	f := l.format(p.codec)
	before := l.findings.ErrorCount()
	built := p.source.BuildSource(l.builder(p, p.settings, p.name, f))
	if l.findings.ErrorCount() > before {
		return
	}
	order := l.prog.Order
	if l.file.Order == "" && !built.Traits.Keyed {
		order = BySource
	}
	l.prog.Sources[p.index] = Source{
		Name: p.name, Connector: p.connector, Traits: built.Traits, Format: f, Order: order,
		Extra: built.Extra, Open: built.Open, Hash: l.hash(p.settings) + p.codec.hash(),
	}
}

func (l *loader) buildNode(p *part, f document.Format) {
	p.first = len(l.prog.Nodes)
	for _, s := range p.steps {
		if s.config == nil {
			continue
		}
		before := l.findings.ErrorCount()
		b := l.builder(p, s.value, s.name, f)
		built := s.config.Build(b)
		n := Node{
			Name: s.name, Owner: p.name, Verb: s.verb.Name, Processor: built.Processor, PortNames: built.Ports,
			Ports: make([][]Edge, max(1, len(built.Ports))), Hash: l.hash(s.value),
		}
		if cond := b.Expression(s.cond, expression.WantBool); cond != nil {
			n.If = cond.Test
		}
		if l.findings.ErrorCount() > before {
			continue
		}
		s.node = len(l.prog.Nodes)
		l.prog.Nodes = append(l.prog.Nodes, n)
	}
	p.last = len(l.prog.Nodes) - 1
}

func (l *loader) buildSink(p *part, f document.Format) {
	if p.sink == nil {
		return
	}
	before := l.findings.ErrorCount()
	built := p.sink.BuildSink(l.builder(p, p.settings, p.name, f))
	if l.findings.ErrorCount() > before {
		return
	}
	l.prog.Sinks[p.index] = Sink{
		Name: p.name, Connector: p.connector, Traits: built.Traits, Optional: p.optional, Encode: l.encoder(p.codec),
		Preparer: built.Preparer, Open: built.Open, Hash: l.hash(p.settings) + p.codec.hash(),
	}
}

// connect turns references into edges, in the order of the file.
func (l *loader) connect() {
	for _, p := range l.parts {
		for i := p.first; p.kind == nodePart && i < p.last; i++ {
			l.prog.Nodes[i].Ports[0] = append(l.prog.Nodes[i].Ports[0], Edge{Index: i + 1})
		}
	}
	for _, p := range l.parts {
		to := Edge{Sink: p.kind == sinkPart, Index: p.index}
		if p.kind == nodePart {
			to.Index = p.first
		}
		for _, r := range p.from {
			if !r.errors {
				l.connectRef(r, to)
			}
		}
	}
	for i := range l.prog.Nodes {
		n := &l.prog.Nodes[i]
		for port, name := range n.PortNames {
			if len(n.Ports[port]) == 0 {
				l.unreadCase(n, name)
			}
		}
	}
}

func (l *loader) connectRef(r *ref, to Edge) {
	if r.target.kind == sourcePart {
		if r.port != "" {
			l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("%q is a source and has no cases", r.target.name), "write from: "+r.target.name))
			return
		}
		s := &l.prog.Sources[r.target.index]
		s.Out = append(s.Out, to)
		return
	}
	n := &l.prog.Nodes[r.target.last]
	if len(n.PortNames) == 0 {
		if r.port != "" {
			l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("%q has no cases", r.target.name), "write from: "+r.target.name))
			return
		}
		n.Ports[0] = append(n.Ports[0], to)
		return
	}
	for i, name := range n.PortNames {
		if name == r.port {
			n.Ports[i] = append(n.Ports[i], to)
			return
		}
	}
	cases := make([]string, len(n.PortNames))
	for i, name := range n.PortNames {
		cases[i] = r.target.name + "." + name
	}
	if r.port == "" {
		l.findings.Add(r.at.Whole(diag.MissingCase, fmt.Sprintf("%q is a router; say which case", r.target.name), "write one of "+strings.Join(cases, ", ")))
		return
	}
	hint := didYouMean(r.at.Text, cases)
	if hint == "" {
		hint = "cases: " + strings.Join(cases, ", ")
	}
	l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("router %q has no case %q", r.target.name, r.port), hint))
}

func (l *loader) unreadCase(n *Node, name string) {
	p := l.byName[n.Owner]
	at := p.key
	if verb, ok := p.value.Lookup(n.Verb); ok {
		at = keyOf(verb, name)
	}
	l.findings.Add(at.Whole(diag.UnusedNode, fmt.Sprintf("nothing reads case %q of router %q", name, p.name),
		fmt.Sprintf("let a sink read it with from: %s.%s; a drop sink loses its messages on purpose", p.name, name)))
}

// applyPolicies gives every part its on_error: the nearest one, whole.
func (l *loader) applyPolicies() {
	for _, p := range l.parts {
		switch p.kind {
		case sourcePart:
			s := &l.prog.Sources[p.index]
			s.OnError = l.policy(l.file.OnError)
			s.Errors = l.errorEdges(&s.OnError, p.erring)
		case nodePart:
			for _, st := range p.steps {
				n := &l.prog.Nodes[st.node]
				n.OnError = l.policy(nearest(st.onError, p.onError, l.file.OnError))
				l.nothingAfter(&n.OnError, len(n.PortNames) > 0, nearest(st.onError, p.onError))
				n.Errors = l.errorEdges(&n.OnError, st.erring)
				if len(st.erring) == 0 {
					n.Errors = l.errorEdges(&n.OnError, p.erring)
				}
			}
		case sinkPart:
			s := &l.prog.Sinks[p.index]
			s.OnError = l.policy(nearest(p.onError, l.file.OnError))
			l.nothingAfter(&s.OnError, true, p.onError)
			s.Errors = l.errorEdges(&s.OnError, p.erring)
		}
	}
	for _, p := range l.parts {
		if p.kind == sinkPart {
			l.prog.Sinks[p.index].Letters = p.letters
		}
	}
}

func nearest(candidates ...*onError) *onError {
	for _, c := range candidates {
		if c != nil {
			return c
		}
	}
	return nil
}

// nothingAfter handles continue where a message cannot go on: written there it is a finding, inherited it is read as pause.
func (l *loader) nothingAfter(p *Policy, nothing bool, own *onError) {
	if p.Then != ThenContinue || !nothing {
		return
	}
	if own != nil && own.Then != nil {
		l.findings.Add(own.Then.Whole(diag.BadValue, "continue needs something to go on to, and nothing comes after a router's or sink's failure",
			"write drop, stop, pause, or the name of a sink for dead letters"))
	}
	p.Then = ThenPause
}

func (l *loader) errorEdges(p *Policy, readers []*part) []Edge {
	edges := make([]Edge, 0, len(readers))
	for _, r := range readers {
		e := Edge{Sink: r.kind == sinkPart, Index: r.index}
		if r.kind == nodePart {
			e.Index = r.first
		}
		edges = append(edges, e)
	}
	if len(edges) > 0 {
		p.Then = ThenErrors
	}
	return edges
}
