package pipelines

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
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
		MaxMessage: int64(l.file.Limits.MaxMessage), InFlight: int(l.file.Limits.InFlight),
		InFlightBytes: int64(l.file.Limits.InFlightBytes),
	}
	l.prog.Order = map[string]Order{"source": BySource, "none": Unordered}[l.file.Order]
	l.prog.Paths = document.NewPaths()
	l.makeRoom()
	l.compileCodecs()
	order := l.buildOrder()
	formats := l.formats(order)
	for _, n := range order {
		p := l.parts[n]
		p.bodyIn = l.bodyBefore(p, formats)
		switch p.kind {
		case sourcePart:
			l.buildSource(p)
		case nodePart:
			l.buildNode(p, l.formatBefore(p, formats))
		case sinkPart:
			l.buildSink(p, formats[n])
		}
	}
	l.checkExclusive()
	l.checkLoops()
	l.checkTransaction()
	l.checkPorts()
	l.checkUse()
	l.checkLosses()
	if l.findings.HasErrors() {
		return
	}
	l.connect()
	l.keepScope()
	l.applyPolicies()
	l.prog.Paths.Freeze()
}

// buildOrder puts each part behind all that it reads; parts in or behind a cycle, which is a finding, come last.
func (l *loader) buildOrder() []int {
	order, ok := l.graph(nil).Order()
	if ok {
		return order
	}
	there := make([]bool, len(l.parts))
	for _, n := range order {
		there[n] = true
	}
	for n := range l.parts {
		if !there[n] {
			order = append(order, n)
		}
	}
	return order
}

// checkExclusive reports two parts that want something which only one can have.
func (l *loader) checkExclusive() {
	taken := map[string]*part{}
	for _, p := range l.parts {
		what := ""
		switch p.kind {
		case sourcePart:
			what = l.prog.Sources[p.index].Traits.Exclusive
		case sinkPart:
			what = l.prog.Sinks[p.index].Traits.Exclusive
		case nodePart:
		}
		if what == "" {
			continue
		}
		if first, ok := taken[what]; ok {
			l.findings.Add(p.key.Whole(diag.ConflictingKey, fmt.Sprintf("%s has been taken by the %s %q, and only one can have it", what, first.kind, first.name),
				"leave one of the two out"))
			continue
		}
		taken[what] = p
	}
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

// builder makes the builder of a part. Its findings are its own until taken.
func (l *loader) builder(v *yamldoc.Value, name string, f document.Format, body *expression.Shape) *config.Builder {
	b := &config.Builder{
		Findings: &diag.List{}, Value: v, Name: name, Pipeline: l.prog.Name, ExactlyOnce: l.prog.ExactlyOnce, Dir: filepath.Dir(l.path), FileRead: l.opts.read,
		MaxMessage: l.prog.Limits.MaxMessage,
		Scope:      expression.Scope{Paths: l.prog.Paths, Vars: l.vars, Format: f, Body: body},
	}
	b.Order = l.file.Order
	if t := l.tables; t != nil {
		b.Scope.Lookup, b.Scope.Tables, b.Scope.TableRead = t.lookup, t.names, t.noteRead
	}
	return b
}

// take adds what a builder found, each finding with a place, and tells whether what was built can be used. Of a configuration that was
// not decoded whole, findings about what it lacks, or about what holds a finding already, are left out: that was said where it got lost.
func (l *loader) take(b *config.Builder, whole bool) bool {
	at := place(b.Value)
	l.read = append(l.read, b.Read...)
	wrong := func(diag.Finding) bool { return false }
	if !whole {
		wrong = l.wrongWithin(b.Value)
	}
	for _, f := range b.Findings.All() {
		if f.Path == "" {
			f = at.Whole(f.Code, f.Message, f.Hint)
		}
		if whole || f.Code != diag.MissingKey && (f.Line != at.Line || f.Col != at.Col) && !wrong(f) {
			l.findings.Add(f)
		}
	}
	return whole && !b.Findings.HasErrors()
}

// wrongWithin tells of a finding whether the value of v that it is about has an error already, or holds one.
func (l *loader) wrongWithin(v *yamldoc.Value) func(diag.Finding) bool {
	type spot struct{ line, col int }
	errors := map[int][]int{} // columns by line
	for _, f := range l.findings.Errors() {
		errors[f.Line] = append(errors[f.Line], f.Col)
	}
	inside := func(s yamldoc.Scalar) bool {
		return slices.ContainsFunc(errors[s.Line], func(col int) bool { return col >= s.Col && col < s.Col+max(1, s.Width) })
	}
	bad := map[spot]bool{}
	var walk func(v *yamldoc.Value) bool
	walk = func(v *yamldoc.Value) bool {
		s := v.Scalar()
		at, found := spot{s.Line, s.Col}, inside(s)
		for _, item := range v.Items() {
			found = walk(item) || found
		}
		for _, e := range v.Entries() {
			found = walk(e.Value) || inside(e.Key) || found
		}
		bad[at] = bad[at] || found
		return found
	}
	walk(v)
	return func(f diag.Finding) bool { return bad[spot{f.Line, f.Col}] }
}

func (l *loader) buildSource(p *part) {
	if p.source == nil {
		return
	}
	f, coder := p.format()
	if p.schema != nil && f == document.Bytes {
		at := keyOf(p.value, "schema")
		l.findings.Add(at.Whole(diag.ConflictingKey, "a schema judges JSON, and body is bytes here", "write decode: json, or leave schema out"))
	}
	b := l.builder(p.settings, p.name, f, nil)
	b.Under = p.under()
	built := p.source.BuildSource(b)
	if !l.take(b, p.whole) {
		return
	}
	opened := fmt.Sprint(l.hash(p.settings), l.deliveryHash(), f) // the builder has told the source its format
	if built.Lines && b.Under != nil {
		opened += p.codecHash // and how a header line reads
	}
	if built.Lines {
		l.fromLines(p)
		_, coder = p.format()
	}
	p.reads, p.transaction = built.Reads, built.Transaction
	order := l.prog.Order
	switch {
	case l.file.Order != "":
	case built.Traits.Answers:
		order = Unordered
	case !built.Traits.Keyed:
		order = BySource
	}
	l.prog.Sources[p.index] = Source{
		Name: p.name, Connector: p.connector, Traits: built.Traits, Format: f, Coder: coder, Order: order,
		Extra: built.Extra, Open: built.Open, Connect: built.Connect, Check: l.admission(p), Opened: opened,
		Under: ifLines(built.Lines, b.Under), Hash: opened + p.codecHash + p.schema.hash(), Fields: l.fieldHashes(p.settings, map[string]string{"decode": p.codecHash, "schema": p.schema.hash()}),
	}
}

func (l *loader) buildNode(p *part, f document.Format) {
	p.first = len(l.prog.Nodes)
	body := p.bodyIn
	for _, s := range p.steps {
		if s.config == nil {
			body = nil
			continue
		}
		b := l.builder(s.value, s.name, f, body)
		cond := b.Expression(s.cond, expression.WantBool)
		built := s.config.Build(b)
		body, f = l.bodyAfter(s, body, built.Body), s.formatAfter(f)
		n := Node{
			Name: s.name, Owner: p.name, Verb: s.verb.Name, Processor: built.Processor, PortNames: built.Ports,
			Ports: make([][]Edge, max(1, len(built.Ports))), Hash: l.hash(s.value) + strings.Join(b.Read, "|"), Fields: l.fieldHashes(s.value, nil),
		}
		if cond != nil {
			n.If = cond.Test
		}
		if !l.take(b, s.whole) {
			continue
		}
		s.node = len(l.prog.Nodes)
		l.prog.Nodes = append(l.prog.Nodes, n)
		if s == p.steps[len(p.steps)-1] {
			p.built, p.ports = true, built.Ports
		}
	}
	p.last = len(l.prog.Nodes) - 1
	p.bodyOut = body
}

func (l *loader) buildSink(p *part, f document.Format) {
	if p.sink == nil {
		return
	}
	b := l.builder(p.settings, p.name, f, p.bodyIn)
	var noLines error
	b.Head, noLines = l.toLines(p)
	built := p.sink.BuildSink(b)
	if !l.take(b, p.whole) {
		return
	}
	p.transaction = built.Transaction
	opened, encode := l.hash(p.settings)+l.deliveryHash(), encoder
	if built.Lines {
		l.ontoLines(p, noLines)
		opened, encode = opened+string(b.Head), lineEncoder
	}
	l.prog.Sinks[p.index] = Sink{
		Name: p.name, Connector: p.connector, Traits: built.Traits, Optional: p.optional, Encode: encode(p.chain), Decode: decoder(p.chain, l.prog.Limits.MaxMessage), Content: contentOf(p.chain),
		Preparer: built.Preparer, Open: built.Open, Connect: built.Connect, Opened: opened, Hash: opened + p.codecHash,
		Fields: l.fieldHashes(p.settings, map[string]string{"encode": p.codecHash}),
	}
}

// connect turns references into edges, in the order of the file. All references have been checked.
func (l *loader) connect() {
	for _, p := range l.parts {
		for i := p.first; p.kind == nodePart && i < p.last; i++ {
			l.prog.Nodes[i].Ports[0] = append(l.prog.Nodes[i].Ports[0], Edge{Index: i + 1})
		}
	}
	origins := map[*part]map[*part]bool{}
	for _, p := range l.parts {
		meet := meeting(p, origins)
		for _, r := range p.from {
			if r.errors {
				continue
			}
			to := p.entry()
			if meet {
				to.Way = r.way()
			}
			l.connectRef(r, to)
		}
	}
}

// way is what the file calls a reference.
func (r *ref) way() string {
	if r.port != "" {
		return r.target.name + "." + r.port
	}
	return r.target.name
}

// meeting tells whether a record of one source can come to p on several of its edges.
func meeting(p *part, origins map[*part]map[*part]bool) bool {
	met := map[*part]bool{}
	for _, r := range p.from {
		if r.errors {
			continue
		}
		for source := range originsOf(r.target, origins) {
			if met[source] {
				return true
			}
			met[source] = true
		}
	}
	return false
}

// originsOf are the sources whose messages come out of a part.
func originsOf(p *part, known map[*part]map[*part]bool) map[*part]bool {
	if all, ok := known[p]; ok {
		return all
	}
	all := map[*part]bool{}
	known[p] = all
	if p.kind == sourcePart {
		all[p] = true
	}
	for _, r := range p.from {
		maps.Copy(all, originsOf(r.target, known))
	}
	return all
}

// entry is the edge that leads into a node or sink.
func (p *part) entry() Edge {
	if p.kind == nodePart {
		return Edge{Index: p.first}
	}
	return Edge{Sink: true, Index: p.index}
}

func (l *loader) connectRef(r *ref, to Edge) {
	if r.target.kind == sourcePart {
		s := &l.prog.Sources[r.target.index]
		s.Out = append(s.Out, to)
		return
	}
	n := &l.prog.Nodes[r.target.last]
	port := max(0, slices.Index(n.PortNames, r.port))
	n.Ports[port] = append(n.Ports[port], to)
}

// applyPolicies gives every part its on_error: the nearest one, whole.
func (l *loader) applyPolicies() {
	for _, p := range l.parts {
		switch p.kind {
		case sourcePart:
			s := &l.prog.Sources[p.index]
			s.OnError = l.policy(l.file.OnError)
			l.nothingAfter(&s.OnError, true, nil)
			s.Errors = l.errorEdges(&s.OnError, p.erring)
		case nodePart:
			for _, st := range p.steps {
				n := &l.prog.Nodes[st.node]
				n.OnError = l.policy(nearest(st.onError, p.onError, l.file.OnError))
				l.nothingAfter(&n.OnError, len(n.PortNames) > 0, nearest(st.onError, p.onError))
				readers := st.erring
				if len(readers) == 0 && (st.onError == nil || len(p.steps) == 1) {
					readers = p.erring // a step's own on_error counts whole, and is nearer
				}
				n.Errors = l.errorEdges(&n.OnError, readers)
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
	p.Then, p.Unsaid = ThenPause, true
}

func (l *loader) errorEdges(p *Policy, readers []*part) []Edge {
	edges := make([]Edge, 0, len(readers))
	for _, r := range readers {
		edges = append(edges, r.entry())
	}
	if len(edges) > 0 {
		p.Then = ThenErrors
	}
	return edges
}
