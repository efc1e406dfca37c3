package pipelines

import (
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// bodyBefore is what is known of the bodies that a part gets: what all that it reads agree on. A source makes known what its schema tells.
func (l *loader) bodyBefore(p *part, formats []document.Format) *expression.Shape {
	if p.kind == sourcePart {
		switch {
		case p.schema != nil && formats[p.number].HasPaths():
			p.bodyOut = p.schema.schema.Shape()
		case p.chain != nil && p.chain.Format != nil:
			p.bodyOut = config.ShapeOf(p.chain.Format)
		}
		return nil
	}
	var body *expression.Shape
	for i, r := range p.from {
		out := r.target.bodyOut
		if r.errors {
			out = r.target.bodyFailed()
		}
		if i == 0 {
			body = out
		} else {
			body = expression.Join(body, out)
		}
	}
	return body
}

// bodyFailed is what is known of a message that failed: it is as it entered, which of a source and of a later step is anything.
func (p *part) bodyFailed() *expression.Shape {
	if p.kind == nodePart && len(p.steps) > 1 {
		return nil
	}
	return p.bodyIn
}

// bodyAfter is what is known behind a step: what it gives, or what it got where a message may pass it by.
func (l *loader) bodyAfter(s *step, before, given *expression.Shape) *expression.Shape {
	e := nearest(s.onError, s.owner.onError, l.file.OnError)
	if s.cond.Set || e != nil && e.Then != nil && e.Then.Text == "continue" {
		return expression.Join(before, given)
	}
	return given
}
