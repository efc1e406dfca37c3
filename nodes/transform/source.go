package transform

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// source is the right side of a line as it stands in the file: an expression, or a mapping or list of them.
type source struct {
	kind       yamldoc.Kind
	expression config.Expression
	names      []string
	parts      []source
}

func (s *source) read(v *yamldoc.Value, c *yamldoc.Context) {
	s.kind = v.Kind()
	if v.Broken() {
		return
	}
	switch s.kind {
	case yamldoc.KindMapping:
		for _, e := range v.Entries() {
			s.names = append(s.names, e.Key.Text)
			s.add(e.Value, c)
		}
	case yamldoc.KindSequence:
		for _, item := range v.Items() {
			s.add(item, c)
		}
	case yamldoc.KindScalar, yamldoc.KindNull:
		s.expression.UnmarshalYAMLDoc(v, c)
	}
}

func (s *source) add(v *yamldoc.Value, c *yamldoc.Context) {
	var part source
	part.read(v, c)
	s.parts = append(s.parts, part)
}

// compile gives what evaluates the right side; nil when it has a finding.
func (s *source) compile(b *config.Builder, to *expression.Target, want expression.Want) right {
	switch s.kind {
	case yamldoc.KindMapping:
		m := &mapping{names: s.names}
		for i := range s.parts {
			m.parts = append(m.parts, s.parts[i].compile(b, to, expression.WantAny))
		}
		return m
	case yamldoc.KindSequence:
		l := &list{}
		for i := range s.parts {
			l.parts = append(l.parts, s.parts[i].compile(b, to, expression.WantAny))
		}
		return l
	case yamldoc.KindScalar, yamldoc.KindNull:
	}
	scope := b.Scope
	scope.It = to.Each
	if to.Each && to.Kind == expression.TargetBody {
		scope.Element = elementOf(scope.Body, to.Path)
	}
	p := b.ExpressionIn(s.expression, want, scope)
	if p == nil {
		return nil
	}
	return single{p}
}

// right is a compiled right side.
type right interface {
	eval(m *flow.Message, with expression.Bindings) (value.Value, error)
	// constant gives the value of a right side that reads nothing.
	constant() (value.Value, bool)
	// path gives the slot of a right side that is a body path and nothing else.
	path() (document.Slot, bool)
	// shape is what is known of the value.
	shape() *expression.Shape
}

type single struct{ program *expression.Program }

func (s single) eval(m *flow.Message, with expression.Bindings) (value.Value, error) {
	return s.program.EvalWith(m, with)
}

func (s single) constant() (value.Value, bool) { return s.program.Constant() }
func (s single) path() (document.Slot, bool)   { return s.program.Path() }
func (s single) shape() *expression.Shape      { return s.program.Shape() }

type mapping struct {
	names []string
	parts []right
}

func (x *mapping) eval(m *flow.Message, with expression.Bindings) (value.Value, error) {
	out := make(map[string]any, len(x.names))
	for i, name := range x.names {
		v, err := x.parts[i].eval(m, with)
		if err != nil {
			return value.Value{}, err
		}
		out[name] = v.Box()
	}
	return value.Map(out), nil
}

func (x *mapping) constant() (value.Value, bool) {
	if !allConstant(x.parts) {
		return value.Value{}, false
	}
	v, err := x.eval(nil, expression.Bindings{})
	return v, err == nil
}

func (*mapping) path() (document.Slot, bool) { return 0, false }

func (x *mapping) shape() *expression.Shape {
	s := &expression.Shape{Kind: value.KindMap, Fields: map[string]*expression.Shape{}, Rest: expression.Closed}
	for i, name := range x.names {
		s.Fields[name] = shapeOf(x.parts[i])
	}
	return s
}

type list struct{ parts []right }

func (x *list) eval(m *flow.Message, with expression.Bindings) (value.Value, error) {
	out := make([]any, len(x.parts))
	for i := range x.parts {
		v, err := x.parts[i].eval(m, with)
		if err != nil {
			return value.Value{}, err
		}
		out[i] = v.Box()
	}
	return value.List(out), nil
}

func (x *list) constant() (value.Value, bool) {
	if !allConstant(x.parts) {
		return value.Value{}, false
	}
	v, err := x.eval(nil, expression.Bindings{})
	return v, err == nil
}

func (*list) path() (document.Slot, bool) { return 0, false }

func (x *list) shape() *expression.Shape {
	s := &expression.Shape{Kind: value.KindList}
	for i, part := range x.parts {
		if i == 0 {
			s.Elem = shapeOf(part)
		} else {
			s.Elem = expression.Join(s.Elem, shapeOf(part))
		}
	}
	return s
}

// shapeOf is the shape of a part; one that has a finding has none.
func shapeOf(part right) *expression.Shape {
	if part == nil {
		return nil
	}
	return part.shape()
}

func allConstant(parts []right) bool {
	for _, p := range parts {
		if p == nil {
			return false
		}
		if _, ok := p.constant(); !ok {
			return false
		}
	}
	return true
}
