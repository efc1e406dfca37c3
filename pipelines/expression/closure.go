package expression

import (
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// closure is the second way to evaluate a rewritten tree: Go functions over unboxed values, for everything but predicates, let, try and
// chains outside body. What it gives is what the machine gives; a fuzz test holds the two together. Where an operation is not one of
// the fast cases it goes to the same code as the machine's calls.
type closure func(r *run) (value.Value, error)

// closureOf is nil where n needs the machine.
func closureOf(n ast.Node) closure {
	switch n := n.(type) {
	case *ast.ConstantNode:
		v, err := value.FromAny(n.Value)
		if err != nil {
			return nil
		}
		return func(*run) (value.Value, error) { return v, nil }
	case *ast.CallNode:
		return callClosure(n)
	case *ast.BinaryNode:
		return logicClosure(n)
	case *ast.ConditionalNode:
		return conditionalClosure(n)
	case *ast.ArrayNode:
		return arrayClosure(n)
	case *ast.MapNode:
		return mapClosure(n)
	}
	return nil
}

func closuresOf(nodes []ast.Node) ([]closure, bool) {
	out := make([]closure, len(nodes))
	for i, n := range nodes {
		if out[i] = closureOf(n); out[i] == nil {
			return nil, false
		}
	}
	return out, true
}

func boxed(x any, err error) (value.Value, error) {
	if err != nil {
		return value.Value{}, err
	}
	return value.Unbox(x), nil
}

func callClosure(n *ast.CallNode) closure {
	name, args := invoked(n)
	first, _ := constantOf(args[0])
	switch name {
	case "@slot":
		return readClosure(first.(document.Slot))
	case "@lookup":
		slot := first.(document.Slot)
		return func(r *run) (value.Value, error) {
			v, err := r.message.Body.Lookup(slot)
			if err != nil {
				return v, readError(err)
			}
			return v, nil
		}
	case "@guarded":
		return guardedClosure(args)
	case "@var":
		index := first.(int)
		return func(r *run) (value.Value, error) { return value.Unbox(r.variable(index)), nil }
	case "@meta":
		key := first.(string)
		return func(r *run) (value.Value, error) { return value.Unbox(r.meta(key)), nil }
	case "@source":
		key := first.(string)
		return func(r *run) (value.Value, error) { return value.Unbox(r.source(key)), nil }
	}
	s, ok := first.(*site)
	if !ok || s.try != nil {
		return nil
	}
	parts, ok := closuresOf(args[1:])
	if !ok {
		return nil
	}
	return siteClosure(name, s, parts, args[1:])
}

func siteClosure(name string, s *site, parts []closure, args []ast.Node) closure {
	switch name {
	case "@unary":
		return unaryClosure(s, parts[0])
	case "@binary":
		return binaryClosure(s, parts[0], parts[1], args[1])
	case "@bool":
		inner := parts[0]
		return func(r *run) (value.Value, error) {
			v, err := inner(r)
			if err == nil && v.Kind() != value.KindBool {
				return boxed(s.mustBool(v.Box()))
			}
			return v, err
		}
	case "@get":
		return applied(parts, func(r *run, a []any) (any, error) { return r.get(s, a[0], a[1]) })
	case "@slice":
		return applied(parts, func(r *run, a []any) (any, error) { return r.slice(s, a[0], a[1], a[2]) })
	case "@call":
		if c := formatClosure(s, parts, args); c != nil {
			return c
		}
		return applied(parts, func(r *run, a []any) (any, error) { return r.invoke(s, a) })
	}
	return nil
}

// applied evaluates parts and hands them over boxed.
func applied(parts []closure, f func(r *run, args []any) (any, error)) closure {
	return func(r *run) (value.Value, error) {
		args := make([]any, len(parts))
		for i, part := range parts {
			v, err := part(r)
			if err != nil {
				return v, err
			}
			args[i] = v.Box()
		}
		return boxed(f(r, args))
	}
}

func readClosure(slot document.Slot) closure {
	return func(r *run) (value.Value, error) {
		v, err := r.message.Body.Get(slot)
		if err != nil {
			return v, readError(err)
		}
		return v, nil
	}
}

func guardedClosure(args []ast.Node) closure {
	slots := make([]document.Slot, len(args))
	for i, a := range args {
		x, _ := constantOf(a)
		slots[i] = x.(document.Slot)
	}
	return func(r *run) (value.Value, error) {
		v, err := r.guarded(slots)
		if err != nil {
			return v, readError(err)
		}
		return v, nil
	}
}

// logicClosure is and, or and ??. The operands of and and or are known to be bools.
func logicClosure(n *ast.BinaryNode) closure {
	parts, ok := closuresOf([]ast.Node{n.Left, n.Right})
	if !ok {
		return nil
	}
	l, right := parts[0], parts[1]
	var stops func(v value.Value) bool
	switch n.Operator {
	case "and":
		stops = func(v value.Value) bool { return !v.Bool() }
	case "or":
		stops = value.Value.Bool
	default:
		stops = func(v value.Value) bool { return !v.IsNil() }
	}
	return func(r *run) (value.Value, error) {
		if v, err := l(r); err != nil || stops(v) {
			return v, err
		}
		return right(r)
	}
}

func conditionalClosure(n *ast.ConditionalNode) closure {
	parts, ok := closuresOf([]ast.Node{n.Cond, n.Exp1, n.Exp2})
	if !ok {
		return nil
	}
	return func(r *run) (value.Value, error) {
		v, err := parts[0](r)
		switch {
		case err != nil:
			return v, err
		case v.Bool():
			return parts[1](r)
		}
		return parts[2](r)
	}
}

func arrayClosure(n *ast.ArrayNode) closure {
	parts, ok := closuresOf(n.Nodes)
	if !ok {
		return nil
	}
	return func(r *run) (value.Value, error) {
		list := make([]any, len(parts))
		for i, part := range parts {
			v, err := part(r)
			if err != nil {
				return v, err
			}
			list[i] = v.Box()
		}
		return value.List(list), nil
	}
}

// mapClosure takes maps whose keys are written out, each once.
func mapClosure(n *ast.MapNode) closure {
	names := make([]string, len(n.Pairs))
	nodes := make([]ast.Node, len(n.Pairs))
	for i, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		name, ok := isConstantText(pair.Key)
		if !ok || slices.Contains(names[:i], name) {
			return nil
		}
		names[i], nodes[i] = name, pair.Value
	}
	parts, ok := closuresOf(nodes)
	if !ok {
		return nil
	}
	return func(r *run) (value.Value, error) {
		m := make(map[string]any, len(parts))
		for i := range parts {
			v, err := parts[i](r)
			if err != nil {
				return v, err
			}
			m[names[i]] = v.Box()
		}
		return value.Map(m), nil
	}
}

func unaryClosure(s *site, inner closure) closure {
	return func(r *run) (value.Value, error) {
		v, err := inner(r)
		switch {
		case err != nil:
			return v, err
		case s.op == opNot && v.Kind() == value.KindBool:
			return value.Bool(!v.Bool()), nil
		case s.op == opNegate && v.Kind() == value.KindFloat:
			return value.Float(-v.Float()), nil
		case s.op == opNegate && v.Kind() == value.KindInt && v.Int() != math.MinInt64:
			return value.Int(-v.Int()), nil
		}
		return boxed(r.unary(s, v.Box()))
	}
}

// binaryClosure calls fast first; what that does not know goes through the general operators.
func binaryClosure(s *site, l, right closure, rightNode ast.Node) closure {
	fast := fastOf(s)
	if x, ok := constantOf(rightNode); ok {
		b := value.Unbox(x)
		if b.IsNumber() && s.op >= opAdd && s.op <= opPower {
			return numberClosure(s, l, b)
		}
		return func(r *run) (value.Value, error) {
			a, err := l(r)
			if err != nil {
				return a, err
			}
			if v, ok := fast(a, b); ok {
				return v, nil
			}
			return boxed(r.binary(s, a.Box(), b.Box()))
		}
	}
	return func(r *run) (value.Value, error) {
		a, err := l(r)
		if err != nil {
			return a, err
		}
		b, err := right(r)
		if err != nil {
			return b, err
		}
		if v, ok := fast(a, b); ok {
			return v, nil
		}
		return boxed(r.binary(s, a.Box(), b.Box()))
	}
}

// numberClosure is arithmetic with a literal on the right.
func numberClosure(s *site, l closure, b value.Value) closure {
	op, right, whole := s.op, b.Box(), b.Kind() == value.KindInt
	y, _ := number(b)
	n := int(b.Int())
	return func(r *run) (value.Value, error) {
		a, err := l(r)
		if err != nil {
			return a, err
		}
		switch a.Kind() {
		case value.KindFloat:
			if f, err := floats(op, a.Float(), y); err == nil {
				return value.Float(f), nil
			}
		case value.KindInt:
			if whole && op != opDivide && op != opPower {
				if i, err := checked(op, int(a.Int()), n); err == nil {
					return value.Int(int64(i)), nil
				}
			} else if f, err := floats(op, float64(a.Int()), y); err == nil {
				return value.Float(f), nil
			}
		}
		return boxed(r.binary(s, a.Box(), right))
	}
}

type fastOperator func(a, b value.Value) (value.Value, bool)

func fastOf(s *site) fastOperator {
	op := s.op
	switch op {
	case opAdd, opSubtract, opMultiply, opDivide, opModulo, opPower:
		return func(a, b value.Value) (value.Value, bool) { return fastArithmetic(op, a, b) }
	case opLess, opLessEqual, opMore, opMoreEqual:
		return func(a, b value.Value) (value.Value, bool) {
			c, ok := fastCompare(a, b)
			return value.Bool(holds(op, c)), ok
		}
	case opEqual, opNotEqual:
		return func(a, b value.Value) (value.Value, bool) {
			if k := a.Kind(); k == value.KindList || k == value.KindMap {
				return a, false
			}
			return value.Bool(value.Equal(a, b) == (op == opEqual)), true
		}
	case opContains, opStartsWith, opEndsWith:
		return func(a, b value.Value) (value.Value, bool) {
			if a.Kind() != value.KindString || b.Kind() != value.KindString {
				return a, false
			}
			return value.Bool(text(op, a.Str(), b.Str())), true
		}
	case opMatches:
		return func(a, _ value.Value) (value.Value, bool) {
			if a.Kind() != value.KindString {
				return a, false
			}
			return value.Bool(s.pattern.MatchString(a.Str())), true
		}
	case opIn:
		return func(a, _ value.Value) (value.Value, bool) {
			if a.Kind() != value.KindString || s.set == nil {
				return a, false
			}
			_, found := s.set[a.Str()]
			return value.Bool(found), true
		}
	}
	return func(a, _ value.Value) (value.Value, bool) { return a, false }
}

func fastArithmetic(op operator, a, b value.Value) (value.Value, bool) {
	if a.Kind() == value.KindInt && b.Kind() == value.KindInt && op != opDivide && op != opPower {
		n, err := checked(op, int(a.Int()), int(b.Int()))
		return value.Int(int64(n)), err == nil
	}
	x, ok1 := number(a)
	y, ok2 := number(b)
	if !ok1 || !ok2 {
		return a, false
	}
	f, err := floats(op, x, y)
	return value.Float(f), err == nil
}

func number(v value.Value) (float64, bool) {
	switch v.Kind() {
	case value.KindFloat:
		return v.Float(), true
	case value.KindInt:
		return float64(v.Int()), true
	}
	return 0, false
}

func fastCompare(a, b value.Value) (int, bool) {
	switch a.Kind() {
	case value.KindInt:
		switch b.Kind() {
		case value.KindInt:
			return order(int(a.Int()), int(b.Int())), true
		case value.KindFloat:
			return -compareFloatInt(b.Float(), int(a.Int())), true
		}
	case value.KindFloat:
		switch b.Kind() {
		case value.KindInt:
			return compareFloatInt(a.Float(), int(b.Int())), true
		case value.KindFloat:
			return order(a.Float(), b.Float()), true
		}
	case value.KindString:
		if b.Kind() == value.KindString {
			return strings.Compare(a.Str(), b.Str()), true
		}
	}
	return 0, false
}
