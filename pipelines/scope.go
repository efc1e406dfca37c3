package pipelines

import (
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Scope is what an expression may see that is evaluated on messages of a source of p, as they come in: the constants and tables of the
// file, and what is known of the body. The body paths are its own: freeze them after the expression is compiled.
func (p *Program) Scope(source int) expression.Scope {
	s := expression.Scope{Paths: document.NewPaths(), Vars: p.vars, Format: p.Sources[source].Format, Body: p.bodies[source]}
	if t := p.tables; t != nil {
		s.Lookup, s.Tables = t.lookup, t.names
	}
	return s
}

// keepScope keeps what Scope gives.
func (l *loader) keepScope() {
	l.prog.vars, l.prog.tables = l.vars, l.tables
	l.prog.bodies = make([]*expression.Shape, len(l.prog.Sources))
	l.prog.places = map[string]yamldoc.Scalar{}
	for _, p := range l.parts {
		if p.kind == sourcePart {
			l.prog.bodies[p.index] = p.bodyOut
		}
		if p.kind != nodePart {
			l.prog.places[p.name] = keyOf(p.value, p.connector)
		}
	}
}
