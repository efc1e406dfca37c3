package expression

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

func object(rest Rest, fields map[string]*Shape) *Shape {
	return &Shape{Kind: value.KindMap, Fields: fields, Rest: rest}
}

func array(element *Shape) *Shape { return &Shape{Kind: value.KindList, Elem: element} }

func at(parts ...any) []document.Segment {
	var path []document.Segment
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			path = append(path, document.Segment{Name: p})
		case int:
			path = append(path, document.Segment{Index: p, IsIndex: true})
		}
	}
	return path
}

func TestShapesFollowWrites(t *testing.T) {
	text, number, whole := &Shape{Kind: value.KindString}, &Shape{Kind: value.KindFloat}, &Shape{Kind: value.KindInt}
	known := object(Closed, map[string]*Shape{"a": text, "l": array(number)})
	tests := []struct {
		name      string
		got, want *Shape
	}{
		{"the whole", known.With(nil, text), text},
		{"a field that is there", known.With(at("a"), number), object(Closed, map[string]*Shape{"a": number, "l": array(number)})},
		{"a field that is new", known.With(at("b"), nil), object(Closed, map[string]*Shape{"a": text, "l": array(number), "b": nil})},
		{"a map that is made", object(Closed, nil).With(at("b", "c"), text), object(Closed, map[string]*Shape{"b": object(Closed, map[string]*Shape{"c": text})})},
		{"a map that may be there", object(Open, nil).With(at("b", "c"), text), object(Open, map[string]*Shape{"b": nil})},
		{"an element", known.With(at("l", 0), whole), object(Closed, map[string]*Shape{"a": text, "l": array(number)})},
		{"an element of another kind", known.With(at("l", 0), text), object(Closed, map[string]*Shape{"a": text, "l": array(nil)})},
		{"through a scalar", known.With(at("a", "b"), text), object(Closed, map[string]*Shape{"a": nil, "l": array(number)})},
		{"into what is not known", (*Shape)(nil).With(at("a"), text), nil},
		{"without a field", known.Without(at("a")), object(Closed, map[string]*Shape{"l": array(number)})},
		{"without a field that is not known", known.Without(at("z")), known},
		{"without anything", known.Without(nil), nil},
		{"the same twice", Join(known, known), known},
		{"int or float", Join(whole, number), number},
		{"int or text", Join(whole, text), nil},
		{"anything or text", Join(nil, text), nil},
		{"a field of one only", Join(object(Closed, map[string]*Shape{"a": text}), object(Closed, nil)), object(Closed, map[string]*Shape{"a": text})},
		{"a field that the other may have", Join(object(Likely, nil), object(Closed, map[string]*Shape{"a": text})), object(Likely, map[string]*Shape{"a": nil})},
	}
	for _, test := range tests {
		if difference := cmp.Diff(test.want, test.got); difference != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, difference)
		}
	}
}

func TestProgramsKnowTheShapeOfTheirResult(t *testing.T) {
	body := object(Closed, map[string]*Shape{"s": {Kind: value.KindString}, "n": {Kind: value.KindInt}, "l": array(&Shape{Kind: value.KindFloat})})
	for text, want := range map[string]*Shape{
		`body`: body, `body.s`: {Kind: value.KindString}, `body.n + 1`: {Kind: value.KindInt}, `body.n / 2`: {Kind: value.KindFloat},
		`body.l[0]`: {Kind: value.KindFloat}, `body.s ?? "x"`: {Kind: value.KindString}, `body.s ?? 1`: nil, `now()`: nil, `raw`: nil, `tmp.x`: nil,
		`body.n > 1 ? body.s : "x"`: {Kind: value.KindString}, `body.n > 1 ? delete : "x"`: nil, `nil`: nil, `[1, 2.5]`: array(&Shape{Kind: value.KindFloat}),
		`{a: body.n, "b": {}}`: object(Closed, map[string]*Shape{"a": {Kind: value.KindInt}, "b": object(Closed, map[string]*Shape{})}),
		`{(body.s): 1}`:        object(Open, map[string]*Shape{}),
	} {
		s := testScope()
		s.Body = body
		p, problems := Compile(text, s, WantAssign)
		if len(problems) > 0 {
			t.Errorf("%s: %+v", text, problems)
			continue
		}
		if difference := cmp.Diff(want, p.Shape()); difference != "" {
			t.Errorf("%s (-want +got):\n%s", text, difference)
		}
	}
}
