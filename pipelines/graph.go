package pipelines

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millstream/millstream/pipelines/dag"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// refs reads a from: one reference or a list. Who is meant is resolved when all parts are known.
func (l *loader) refs(v *yamldoc.Value) []*ref {
	if v == nil || v.Broken() {
		l.lost = l.lost || v != nil
		return nil
	}
	items := []*yamldoc.Value{v}
	if v.Kind() == yamldoc.KindSequence {
		items = v.Items()
		if len(items) == 0 {
			l.lost = true
			v.Finding(l.findings, diag.MissingKey, "from names nothing", "write the name of a source or node")
		}
	}
	var refs []*ref
	seen := map[string]bool{}
	for _, item := range items {
		if item.Kind() != yamldoc.KindScalar {
			l.lost = true
			l.context.WrongType(item, "a name, or a list of names")
			continue
		}
		s := item.Scalar()
		if !l.context.NoVariable(s) {
			l.lost = true
			continue
		}
		if seen[s.Text] {
			l.findings.Add(s.Whole(diag.DuplicateFrom, fmt.Sprintf("%q stands twice in one from", s.Text), "a message would come twice; leave one out"))
			continue
		}
		seen[s.Text] = true
		refs = append(refs, &ref{at: s})
	}
	return refs
}

// resolve finds who is meant by each reference, and what is wrong with the graph as a whole.
func (l *loader) resolve() {
	steps := l.namedSteps()
	l.resolveThen()
	for _, p := range l.parts {
		kept := p.from[:0]
		for _, r := range p.from {
			if r.target == nil && !l.resolveRef(p, r, steps) {
				continue
			}
			kept = append(kept, r)
			if r.errors {
				l.readErrors(p, r)
			} else {
				r.target.readers++
			}
		}
		p.from = kept
	}
	l.checkOptional()
	l.checkCycles()
}

// namedSteps lists the steps by name, and refuses names that are taken.
func (l *loader) namedSteps() map[string]*step {
	steps := map[string]*step{}
	for _, p := range l.parts {
		for _, s := range p.steps {
			if s.name == p.name {
				continue
			}
			_, isPart := l.byName[s.name]
			if _, isStep := steps[s.name]; isPart || isStep {
				at := keyOf(s.value, "name")
				if name, ok := s.value.Lookup("name"); ok {
					at = name.Scalar()
				}
				l.findings.Add(at.Whole(diag.DuplicateName, fmt.Sprintf("the name %q is taken", s.name), "choose another"))
				continue
			}
			steps[s.name] = s
		}
	}
	return steps
}

func (l *loader) resolveRef(p *part, r *ref, steps map[string]*step) bool {
	name, port, dotted := strings.Cut(r.at.Text, ".")
	r.target = l.byName[name]
	if p := l.byName[r.at.Text]; p != nil { // to.2, and names that have a finding
		r.target, dotted = p, false
	}
	if stem, ok := strings.CutSuffix(r.at.Text, ".errors"); ok {
		r.errors = true
		if s, ok := steps[stem]; ok {
			r.step, r.target = s, s.owner
			return true
		}
		name = stem
		r.target = l.byName[name]
	} else if dotted {
		r.port = port
	}
	switch {
	case r.target == nil:
		l.unknownRef(r, name, steps)
	case r.target == p:
		l.lost = true
		l.findings.Add(r.at.Whole(diag.Cycle, fmt.Sprintf("%q reads itself", p.name), "name what comes before it"))
	case r.target.kind == sinkPart && !r.errors:
		l.lost = true
		l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("%q is a sink; nothing comes out of it", name),
			fmt.Sprintf("read what %s reads, or its failures as %s.errors", name, name)))
	default:
		return true
	}
	return false
}

func (l *loader) unknownRef(r *ref, name string, steps map[string]*step) {
	if l.damaged || l.count[sourcePart] == 0 {
		return // what it names may have been lost, and that has been said
	}
	if s, ok := steps[name]; ok {
		s.owner.readers++
		l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("%q is a step within %q", name, s.owner.name),
			fmt.Sprintf("read %s, or the step's failures as %s.errors", s.owner.name, name)))
		return
	}
	var candidates []string
	for _, p := range l.parts {
		if p.kind != sinkPart {
			candidates = append(candidates, p.name)
		}
	}
	hint := "there are: " + listed(candidates)
	if near := l.suggest(name, candidates); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
		l.byName[near].readers++
		l.byName[near].lost = true
	} else {
		l.lost = true
	}
	l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("unknown name %q", name), hint))
}

// readErrors notes that p reads the failures of what r names.
func (l *loader) readErrors(p *part, r *ref) {
	on := r.target.onError
	if r.step != nil {
		r.step.erring = append(r.step.erring, p)
		on = r.step.onError
	} else {
		r.target.erring = append(r.target.erring, p)
	}
	if on != nil && on.Then != nil {
		l.findings.Add(on.Then.Whole(diag.TwoErrorRoutes, fmt.Sprintf("then stands beside a reader of %s", r.at.Text),
			fmt.Sprintf("line %d reads %s, which is the then of it; leave one of the two out", r.at.Line, r.at.Text)))
	}
}

// checkCycles names every hop of each cycle. Of cycles that share an edge the first is named.
func (l *loader) checkCycles() {
	cut := map[*ref]bool{}
	for range maxCycles {
		cycle := l.graph(cut).Cycle()
		if cycle == nil {
			return
		}
		hops := make([]string, 0, len(cycle)+1)
		for _, n := range cycle {
			hops = append(hops, l.parts[n].name)
		}
		hops = append(hops, hops[0])
		p := l.parts[cycle[0]]
		at := p.key
		for _, r := range p.from {
			if r.target.number == cycle[len(cycle)-1] {
				at = r.at
				cut[r] = true
			}
		}
		l.findings.Add(at.Whole(diag.Cycle, "these feed each other in a circle: "+strings.Join(hops, " → "), "a message would never end; read from somewhere else"))
	}
}

// maxCycles bounds how many cycles of one file are named.
const maxCycles = 20

// graph is the parts with an edge from each to its readers, but for the references that are cut.
func (l *loader) graph(cut map[*ref]bool) *dag.Graph {
	g := dag.New(len(l.parts))
	for i, p := range l.parts {
		for _, r := range p.from {
			if r.target != nil && !cut[r] {
				g.Edge(r.target.number, i)
			}
		}
	}
	return g
}

// checkPort checks that a reference names a way out that is there.
func (l *loader) checkPort(r *ref) {
	t := r.target
	switch {
	case t.kind == sourcePart && r.port != "":
		l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("%q is a source and has no cases", t.name), "write from: "+t.name))
	case t.kind != nodePart || !t.built:
	case len(t.ports) == 0 && r.port != "":
		l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("%q has no cases", t.name), "write from: "+t.name))
	case len(t.ports) == 0:
	case r.port == "":
		t.lost = true
		l.findings.Add(r.at.Whole(diag.MissingCase, fmt.Sprintf("%q is a router; say which case", t.name), "write one of "+t.name+"."+strings.Join(t.ports, ", "+t.name+".")))
	case slices.Contains(t.ports, r.port):
		t.readCases[r.port] = true
	default:
		hint := "cases: " + t.name + "." + strings.Join(t.ports, ", "+t.name+".")
		if near := diag.Suggest(r.port, t.ports); near != "" {
			hint = fmt.Sprintf("did you mean %q?", t.name+"."+near)
			t.readCases[near] = true
		} else {
			t.lost = true
		}
		l.findings.Add(r.at.Whole(diag.UnknownName, fmt.Sprintf("router %q has no case %q", t.name, r.port), hint))
	}
}

// checkPorts checks all references to routers, and that every case of a router is read.
func (l *loader) checkPorts() {
	for _, p := range l.parts {
		p.readCases = map[string]bool{}
	}
	for _, p := range l.parts {
		for _, r := range p.from {
			if !r.errors {
				l.checkPort(r)
			}
		}
	}
	for _, p := range l.parts {
		if p.lost || l.lost || l.damaged || p.readers == 0 {
			continue
		}
		for _, name := range p.ports {
			if !p.readCases[name] {
				l.unreadCase(p, name)
			}
		}
	}
}

func (l *loader) unreadCase(p *part, name string) {
	at := p.key
	if verb, ok := p.value.Lookup(p.steps[0].verb.Name); ok {
		at = keyOf(verb, name)
	}
	l.findings.Add(at.Whole(diag.UnusedNode, fmt.Sprintf("nothing reads case %q of router %q", name, p.name),
		fmt.Sprintf("let a sink read it with from: %s.%s; a drop sink loses its messages on purpose", p.name, name)))
}

// checkLoops reports a sink that writes where a source of the pipeline reads: it would feed itself without an end.
func (l *loader) checkLoops() {
	for _, p := range l.parts {
		if p.kind != sinkPart || p.index >= len(l.prog.Sinks) {
			continue
		}
		address := l.prog.Sinks[p.index].Traits.Address
		for _, s := range l.parts {
			if s.kind == sourcePart && address != "" && l.readsAt(s, address) {
				l.findings.Add(p.key.Whole(diag.ConflictingKey, fmt.Sprintf("sink %q writes where source %q reads: the pipeline would feed itself",
					p.name, s.name), "write somewhere else"))
			}
		}
	}
}

func (l *loader) readsAt(source *part, address string) bool {
	return l.prog.Sources[source.index].Traits.Address == address || source.reads != nil && source.reads(address)
}

// checkUse reports what nothing reads or feeds, unless a finding has said already that a reference leads nowhere.
func (l *loader) checkUse() {
	if l.damaged {
		return
	}
	for _, p := range l.parts {
		if p.kind != sinkPart && l.lost {
			continue
		}
		switch p.kind {
		case sourcePart:
			if p.readers == 0 {
				l.findings.Add(p.key.Whole(diag.UnusedSource, fmt.Sprintf("nothing reads source %q", p.name), "let a node or sink read it with from: "+p.name))
			}
		case nodePart:
			if p.readers == 0 {
				l.findings.Add(p.key.Whole(diag.UnusedNode, fmt.Sprintf("nothing reads node %q", p.name), "let a sink read it with from: "+p.name+", or leave it out"))
			}
		case sinkPart:
			if !p.reading && !p.letters {
				l.findings.Add(p.key.Whole(diag.UnusedSink, fmt.Sprintf("nothing feeds sink %q", p.name), "write from: with the name of a node, or name it in then:"))
			}
		}
	}
	for name, c := range l.connections {
		if !c.used {
			l.findings.Add(c.key.Whole(diag.UnusedConn, fmt.Sprintf("nobody uses connection %q", name), "write use: "+name+" in a source or sink, or leave it out"))
		}
	}
}
