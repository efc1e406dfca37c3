package schema

import (
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/expression"
)

// maxDepth is how far into a schema types are followed. A schema may refer to itself.
const maxDepth = 12

// Shape is what the schema tells of a body. What may be of several types is not known, but for null beside one other. An object that
// lists its properties and says nothing of others is taken to have few others.
func (s *Schema) Shape() *expression.Shape {
	w := walk{left: maxParts}
	return w.shape(s.compiled, maxDepth)
}

// walk goes through a schema; left is how many parts it may still visit: one that refers to itself often has no end of them.
type walk struct{ left int }

const maxParts = 5000

func (w *walk) shape(s *jsonschema.Schema, depth int) *expression.Shape {
	if s == nil || s.Bool != nil || depth == 0 || w.left == 0 {
		return nil
	}
	w.left--
	var out *expression.Shape
	switch kind := kindOf(s); kind {
	case value.KindNil:
	case value.KindMap:
		out = w.object(s, depth)
	case value.KindList:
		out = &expression.Shape{Kind: kind, Elem: w.element(s, depth)}
	default:
		out = &expression.Shape{Kind: kind}
	}
	if s.Ref != nil {
		out = both(out, w.shape(s.Ref, depth-1))
	}
	for _, part := range s.AllOf {
		out = both(out, w.shape(part, depth-1))
	}
	if out != nil && out.Kind == value.KindMap && branches(s) {
		out.Rest = expression.Open
	}
	return out
}

// branches tells whether a schema has parts that hold for some values only, and may name fields of their own.
func branches(s *jsonschema.Schema) bool {
	return len(s.AnyOf) > 0 || len(s.OneOf) > 0 || s.If != nil || len(s.DependentSchemas) > 0 || s.DynamicRef != nil || s.RecursiveRef != nil
}

// kindOf is the one kind that a schema allows besides null; KindNil where there are several or none is named.
func kindOf(s *jsonschema.Schema) value.Kind {
	if s.Types == nil {
		if len(s.Properties) > 0 {
			return value.KindMap
		}
		return value.KindNil
	}
	kind := value.KindNil
	for _, name := range s.Types.ToStrings() {
		k := map[string]value.Kind{"boolean": value.KindBool, "number": value.KindFloat, "integer": value.KindInt, "string": value.KindString,
			"array": value.KindList, "object": value.KindMap}[name]
		switch {
		case name == "null":
		case kind == value.KindNil, kind == value.KindInt && k == value.KindFloat:
			kind = k
		case kind == value.KindFloat && k == value.KindInt:
		default:
			return value.KindNil
		}
	}
	return kind
}

func (w *walk) object(s *jsonschema.Schema, depth int) *expression.Shape {
	out := &expression.Shape{Kind: value.KindMap, Fields: map[string]*expression.Shape{}}
	for name, p := range s.Properties {
		out.Fields[name] = w.shape(p, depth-1)
	}
	closed, said := s.AdditionalProperties.(bool)
	switch {
	case len(s.PatternProperties) > 0 || s.UnevaluatedProperties != nil:
	case said && !closed:
		out.Rest = expression.Closed
	case s.AdditionalProperties == nil && len(s.Properties) > 0:
		out.Rest = expression.Likely
	}
	return out
}

func (w *walk) element(s *jsonschema.Schema, depth int) *expression.Shape {
	if len(s.PrefixItems) > 0 {
		return nil
	}
	if s.Items2020 != nil {
		return w.shape(s.Items2020, depth-1)
	}
	if items, ok := s.Items.(*jsonschema.Schema); ok {
		return w.shape(items, depth-1)
	}
	return nil
}

// both is what is known of a value that two schemas hold for. What either knows is known.
func both(a, b *expression.Shape) *expression.Shape {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.Kind != b.Kind:
		if a.Kind == value.KindFloat && b.Kind == value.KindInt {
			return b
		}
		return a
	}
	out := &expression.Shape{Kind: a.Kind, Rest: min(a.Rest, b.Rest), Elem: both(a.Elem, b.Elem)}
	if a.Kind != value.KindMap {
		return out
	}
	out.Fields = map[string]*expression.Shape{}
	for name, field := range a.Fields {
		out.Fields[name] = both(field, b.Fields[name])
	}
	for name, field := range b.Fields {
		if _, done := a.Fields[name]; !done {
			out.Fields[name] = field
		}
	}
	return out
}
