package expression

import (
	"github.com/expr-lang/expr/ast"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// answer is what a quick test says.
type answer int8

const (
	unsure answer = iota - 1 // ask the closure: it has the words for the error, if it is one
	no
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// quick is the third way, for conditions alone: comparisons of a path with a literal, and what and, or and not make of them. Reading has
// no effect, so a test that is not sure is simply made again by the closure.
type quick func(m *flow.Message) answer

func quickOf(n ast.Node) quick {
	if b, ok := n.(*ast.BinaryNode); ok && b.Operator != "??" {
		l, r := quickOf(b.Left), quickOf(b.Right)
		if l == nil || r == nil {
			return nil
		}
		goesOn := answerOf(b.Operator == "and")
		return func(m *flow.Message) answer {
			if a := l(m); a != goesOn {
				return a
			}
			return r(m)
		}
	}
	name, args := invoked(n)
	switch name {
	case "@bool":
		if inner, _ := invoked(args[1]); inner == "@slot" {
			return quickSlot(args[1])
		}
	case "@slot":
		return quickSlot(n)
	case "@unary":
		return quickNot(args)
	case "@binary":
		return quickCompare(args)
	}
	return nil
}

func slotOf(n ast.Node) (document.Slot, bool) {
	name, args := invoked(n)
	if name != "@slot" {
		return 0, false
	}
	x, _ := constantOf(args[0])
	slot, ok := x.(document.Slot)
	return slot, ok
}

func quickSlot(n ast.Node) quick {
	slot, _ := slotOf(n)
	return func(m *flow.Message) answer {
		v, err := m.Body.Get(slot)
		if err != nil || v.Kind() != value.KindBool {
			return unsure
		}
		return answerOf(v.Bool())
	}
}

func quickNot(args []ast.Node) quick {
	x, _ := constantOf(args[0])
	inner := quickOf(args[1])
	if inner == nil || x.(*site).op != opNot {
		return nil
	}
	return func(m *flow.Message) answer {
		if a := inner(m); a != unsure {
			return yes - a
		}
		return unsure
	}
}

func quickCompare(args []ast.Node) quick {
	x, _ := constantOf(args[0])
	s := x.(*site)
	k, ok := constantOf(args[2])
	if !ok {
		return nil
	}
	if name, inner := invoked(args[1]); name == "@meta" {
		header, _ := isConstantText(inner[0])
		return quickMeta(s.op, header, k)
	}
	slot, ok := slotOf(args[1])
	if !ok {
		return nil
	}
	switch k := k.(type) {
	case string:
		return quickText(s, slot, k)
	case int:
		return quickInt(s.op, slot, k)
	case float64:
		return quickFloat(s.op, slot, k)
	}
	return nil
}

// quickMeta is == and != of a header with text.
func quickMeta(op operator, header string, k any) quick {
	text, ok := k.(string)
	if !ok || op != opEqual && op != opNotEqual {
		return nil
	}
	return func(m *flow.Message) answer {
		got, ok := m.Meta(header)
		return answerOf((ok && got == text) == (op == opEqual))
	}
}

func quickText(s *site, slot document.Slot, k string) quick {
	if s.op != opEqual && s.op != opNotEqual {
		return nil
	}
	equal := s.op == opEqual
	return func(m *flow.Message) answer {
		v, err := m.Body.Get(slot)
		if err != nil {
			return unsure
		}
		return answerOf((v.Kind() == value.KindString && v.Str() == k) == equal)
	}
}

func quickInt(op operator, slot document.Slot, k int) quick {
	a, ok := answersOf(op)
	if !ok {
		return nil
	}
	exact, f := k > -1<<53 && k < 1<<53, float64(k)
	return func(m *flow.Message) answer {
		v, err := m.Body.Get(slot)
		if err != nil {
			return unsure
		}
		switch v.Kind() {
		case value.KindInt:
			i := int(v.Int())
			switch {
			case i < k:
				return a.less
			case i > k:
				return a.more
			}
			return a.equal
		case value.KindFloat:
			if exact {
				return a.ofFloats(v.Float(), f)
			}
			return a.of(compareFloatInt(v.Float(), k))
		}
		return unsure
	}
}

func quickFloat(op operator, slot document.Slot, k float64) quick {
	a, ok := answersOf(op)
	if !ok {
		return nil
	}
	return func(m *flow.Message) answer {
		v, err := m.Body.Get(slot)
		if err != nil {
			return unsure
		}
		switch v.Kind() {
		case value.KindFloat:
			return a.ofFloats(v.Float(), k)
		case value.KindInt:
			return a.of(-compareFloatInt(k, int(v.Int())))
		}
		return unsure
	}
}

// answers are what a comparison says of a value that is less than, equal to or more than the literal: small enough to be inlined where
// a message is tested.
type answers struct{ less, equal, more answer }

func answersOf(op operator) (a answers, ok bool) {
	switch op {
	case opEqual:
		return answers{equal: yes}, true
	case opNotEqual:
		return answers{less: yes, more: yes}, true
	case opLess, opLessEqual, opMore, opMoreEqual:
		return answers{less: answerOf(holds(op, -1)), equal: answerOf(holds(op, 0)), more: answerOf(holds(op, 1))}, true
	}
	return answers{}, false
}

func (a *answers) of(c int) answer {
	switch {
	case c < 0:
		return a.less
	case c > 0:
		return a.more
	}
	return a.equal
}

func (a *answers) ofFloats(x, y float64) answer {
	switch {
	case x < y:
		return a.less
	case x > y:
		return a.more
	}
	return a.equal
}
