package expression

import (
	"maps"
	"reflect"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/types"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// Shape is what is known of a value before there is one: its kind, and that of its parts. Any value may be nil all the same. A nil Shape
// knows nothing. Shapes are immutable.
type Shape struct {
	// Kind is that of a value of JSON, but never KindNil: times and bytes become text on their way. A KindFloat may turn out to be an int.
	Kind value.Kind
	// Fields are those of a map; a nil one is there, and nothing more is known.
	Fields map[string]*Shape
	// Rest says which other fields a map may have.
	Rest Rest
	// Elem is an element of a list.
	Elem *Shape
}

// Rest says what is known of the fields of a map that Fields does not have.
type Rest uint8

// What there may be besides Fields.
const (
	// Open allows every field.
	Open Rest = iota
	// Likely allows every field, but one whose name nearly is that of a field is taken for a mistake.
	Likely
	// Closed allows none.
	Closed
)

// Field is what is known of a field.
func (s *Shape) Field(name string) *Shape {
	if s == nil {
		return nil
	}
	return s.Fields[name]
}

// Element is what is known of an element.
func (s *Shape) Element() *Shape {
	if s == nil {
		return nil
	}
	return s.Elem
}

// With is what is known once the part at a path has been written: a value of which part is known.
func (s *Shape) With(path []document.Segment, part *Shape) *Shape {
	if len(path) == 0 {
		return part
	}
	switch {
	case s == nil:
		return nil
	case path[0].IsIndex && s.Kind == value.KindList:
		return &Shape{Kind: value.KindList, Elem: Join(s.Elem, s.Elem.With(path[1:], part))}
	case path[0].IsIndex || s.Kind != value.KindMap:
		return nil
	}
	name := path[0].Name
	inner, known := s.Fields[name]
	if !known && len(path) > 1 && s.Rest == Closed {
		inner = &Shape{Kind: value.KindMap, Rest: Closed}
	}
	out := *s
	out.Fields = maps.Clone(s.Fields)
	if out.Fields == nil {
		out.Fields = map[string]*Shape{}
	}
	out.Fields[name] = inner.With(path[1:], part)
	return &out
}

// Without is what is known once the part at a path is gone.
func (s *Shape) Without(path []document.Segment) *Shape {
	if s == nil || len(path) == 0 {
		return nil
	}
	if s.Kind != value.KindMap || path[0].IsIndex {
		return s
	}
	inner, known := s.Fields[path[0].Name]
	if !known {
		return s
	}
	out := *s
	out.Fields = maps.Clone(s.Fields)
	if len(path) == 1 {
		delete(out.Fields, path[0].Name)
	} else {
		out.Fields[path[0].Name] = inner.Without(path[1:])
	}
	return &out
}

// Join is what is known of a value that is as a says, or as b does.
func Join(a, b *Shape) *Shape {
	if a == nil || b == nil {
		return nil
	}
	if a.Kind != b.Kind {
		if isNumber(a.Kind) && isNumber(b.Kind) {
			return &Shape{Kind: value.KindFloat}
		}
		return nil
	}
	out := &Shape{Kind: a.Kind, Rest: min(a.Rest, b.Rest), Elem: Join(a.Elem, b.Elem)}
	if a.Kind != value.KindMap {
		return out
	}
	out.Fields = map[string]*Shape{}
	for name, field := range a.Fields {
		if other, both := b.Fields[name]; both {
			field = Join(field, other)
		} else if b.Rest != Closed {
			field = nil
		}
		out.Fields[name] = field
	}
	for name, field := range b.Fields {
		if _, both := a.Fields[name]; both {
			continue
		}
		if a.Rest != Closed {
			field = nil
		}
		out.Fields[name] = field
	}
	return out
}

func isNumber(k value.Kind) bool { return k == value.KindInt || k == value.KindFloat }

// likely marks, among the fields of a checker's map, one that is Likely.
const likely = "\x00likely"

// known is the type that the checker gets.
func (s *Shape) known() types.Type {
	if s == nil {
		return types.Any
	}
	switch s.Kind {
	case value.KindBool:
		return types.Bool
	case value.KindInt:
		return types.Int
	case value.KindFloat:
		return types.Float64
	case value.KindString:
		return types.String
	case value.KindList:
		return types.Array(s.Elem.known())
	case value.KindMap:
		m := types.Map{}
		for name, field := range s.Fields {
			m[name] = field.known()
		}
		if s.Rest != Closed {
			m[types.Extra] = types.Any
		}
		if s.Rest == Likely {
			m[likely] = types.Any
		}
		return m
	case value.KindNil, value.KindBytes, value.KindTime, value.KindDuration, value.KindDelete, value.KindKeep:
	}
	return types.Any
}

// shapeOf is what the checker found out about a node. It must be called on a checked tree.
func shapeOf(n ast.Node) *Shape {
	switch n := n.(type) {
	case *ast.ChainNode:
		return shapeOf(n.Node)
	case *ast.MapNode:
		s := &Shape{Kind: value.KindMap, Fields: map[string]*Shape{}, Rest: Closed}
		for _, p := range n.Pairs {
			pair, ok := p.(*ast.PairNode)
			if !ok {
				return nil
			}
			name, constant := isConstantText(pair.Key)
			if !constant {
				s.Rest = Open
				continue
			}
			s.Fields[name] = shapeOf(pair.Value)
		}
		return s
	case *ast.ArrayNode:
		s := &Shape{Kind: value.KindList}
		for i, x := range n.Nodes {
			if i == 0 {
				s.Elem = shapeOf(x)
			} else {
				s.Elem = Join(s.Elem, shapeOf(x))
			}
		}
		return s
	case *ast.ConditionalNode:
		return Join(shapeOf(n.Exp1), shapeOf(n.Exp2))
	}
	return shapeOfNature(n.Nature(), 0)
}

func shapeOfNature(t *nature.Nature, depth int) *Shape {
	if t == nil || t.Nil || t.Type == nil || depth > maxNesting {
		return nil
	}
	if t.Type == timeType || t.Type == durationType {
		return nil
	}
	switch t.Kind {
	case reflect.Bool:
		return &Shape{Kind: value.KindBool}
	case reflect.Int:
		return &Shape{Kind: value.KindInt}
	case reflect.Float64:
		return &Shape{Kind: value.KindFloat}
	case reflect.String:
		return &Shape{Kind: value.KindString}
	case reflect.Slice:
		if typeName(t.Type) != "list" {
			return nil
		}
		return &Shape{Kind: value.KindList, Elem: shapeOfNature(t.Ref, depth+1)}
	case reflect.Map:
		return shapeOfMap(t, depth)
	}
	return nil
}

func shapeOfMap(t *nature.Nature, depth int) *Shape {
	s := &Shape{Kind: value.KindMap}
	if t.TypeData == nil {
		return s
	}
	if t.Strict {
		s.Rest = Closed
	}
	s.Fields = make(map[string]*Shape, len(t.Fields))
	for name, field := range t.Fields {
		if name == likely {
			s.Rest = Likely
			continue
		}
		s.Fields[name] = shapeOfNature(&field, depth+1)
	}
	return s
}

// misspelled finds reads of fields that a map most likely does not have, and names the one that was meant. It must be called on a checked
// tree.
func misspelled(n ast.Node, found func(property ast.Node, name string, fields []string)) {
	if m, ok := n.(*ast.MemberNode); ok {
		t := m.Node.Nature()
		name, constant := isConstantText(m.Property)
		if constant && t != nil && t.TypeData != nil && t.Kind == reflect.Map {
			_, isLikely := t.Fields[likely]
			if _, known := t.Fields[name]; isLikely && !known {
				found(m.Property, name, fieldNames(t))
			}
		}
	}
	for _, c := range children(n) {
		misspelled(*c, found)
	}
}

func fieldNames(t *nature.Nature) []string {
	names := slices.Sorted(maps.Keys(t.Fields))
	return slices.DeleteFunc(names, func(name string) bool { return name == likely })
}

// memberAt finds the access whose property stands at a place of the text.
func memberAt(n ast.Node, from int) *ast.MemberNode {
	if m, ok := n.(*ast.MemberNode); ok && m.Property.Location().From == from {
		return m
	}
	for _, c := range children(n) {
		if m := memberAt(*c, from); m != nil {
			return m
		}
	}
	return nil
}
