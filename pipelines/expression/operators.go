package expression

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/millstream/millstream/flow/value"
)

// operator is an operator of the language.
type operator uint8

const (
	opNone operator = iota
	opAdd
	opSubtract
	opMultiply
	opDivide
	opModulo
	opPower
	opLess
	opLessEqual
	opMore
	opMoreEqual
	opEqual
	opNotEqual
	opIn
	opContains
	opStartsWith
	opEndsWith
	opMatches
	opRange
	opAnd
	opOr
	opNot
	opNegate
	opPlus
)

var operatorText = [...]string{"", "+", "-", "*", "/", "%", "**", "<", "<=", ">", ">=", "==", "!=", "in", "contains", "startsWith", "endsWith",
	"matches", "..", "and", "or", "not", "-", "+"}

// String is the operator as it is written.
func (op operator) String() string { return operatorText[op] }

var binaryOperators = map[string]operator{"+": opAdd, "-": opSubtract, "*": opMultiply, "/": opDivide, "%": opModulo, "**": opPower, "^": opPower,
	"<": opLess, "<=": opLessEqual, ">": opMore, ">=": opMoreEqual, "==": opEqual, "!=": opNotEqual, "in": opIn, "contains": opContains,
	"startsWith": opStartsWith, "endsWith": opEndsWith, "matches": opMatches, "..": opRange}

func (op operator) isBool() bool { return op >= opLess && op <= opMatches }

var (
	errMismatch  = errors.New("types do not fit")
	errZero      = errors.New("division by zero")
	errOverflow  = errors.New("the result is too large for an int")
	errNotFinite = errors.New("the result is not a finite number")
)

// binary applies an operator to two plain values. s has the words for the error.
func (r *run) binary(s *site, a, b any) (any, error) {
	switch s.op {
	case opEqual, opNotEqual:
		equal, err := r.same(a, b)
		if err != nil {
			return nil, s.because(err)
		}
		return equal == (s.op == opEqual), nil
	case opIn:
		return r.in(s, a, b)
	}
	if a == nil {
		return nil, s.isNilError(s.left, b)
	}
	if b == nil {
		return nil, s.isNilError(s.right, a)
	}
	v, err := r.apply(s, a, b)
	switch {
	case errors.Is(err, errMismatch):
		return nil, s.fail("%s cannot take %s and %s", s.op, article(kindName(a)), article(kindName(b)))
	case err != nil:
		return nil, s.because(err)
	}
	return v, nil
}

func (r *run) apply(s *site, a, b any) (any, error) {
	switch s.op {
	case opAdd, opSubtract, opMultiply, opDivide, opModulo, opPower:
		return r.arithmetic(s.op, a, b)
	case opLess, opLessEqual, opMore, opMoreEqual:
		c, ok := compare(a, b)
		if !ok {
			return nil, errMismatch
		}
		return holds(s.op, c), nil
	case opMatches:
		switch a := a.(type) {
		case string:
			return s.pattern.MatchString(a), nil
		case []byte:
			return s.pattern.Match(a), nil
		}
		return nil, errMismatch
	case opRange:
		return r.interval(a, b)
	}
	x, ok1 := a.(string)
	y, ok2 := b.(string)
	if !ok1 || !ok2 {
		return nil, errMismatch
	}
	return text(s.op, x, y), nil
}

func text(op operator, a, b string) bool {
	switch op {
	case opContains:
		return strings.Contains(a, b)
	case opStartsWith:
		return strings.HasPrefix(a, b)
	}
	return strings.HasSuffix(a, b)
}

// same is == : numbers by value, lists and maps member by member, false for what has different types.
func same(a, b any) bool { return value.Equal(value.Unbox(a), value.Unbox(b)) }

func holds(op operator, c int) bool {
	switch op {
	case opLess:
		return c < 0
	case opLessEqual:
		return c <= 0
	case opMore:
		return c > 0
	}
	return c >= 0
}

// compare orders two values of one kind; numbers compare across int and float, exactly.
func compare(a, b any) (int, bool) {
	switch a := a.(type) {
	case int:
		switch b := b.(type) {
		case int:
			return order(a, b), true
		case float64:
			return -compareFloatInt(b, a), true
		}
	case float64:
		switch b := b.(type) {
		case int:
			return compareFloatInt(a, b), true
		case float64:
			return order(a, b), true
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), true
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b), true
		}
	case time.Duration:
		if b, ok := b.(time.Duration); ok {
			return order(a, b), true
		}
	}
	return 0, false
}

func order[T int | float64 | time.Duration](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareFloatInt does not round i: neighbours above 2^53 stay apart.
func compareFloatInt(f float64, i int) int {
	switch {
	case f >= -math.MinInt64:
		return 1
	case f < math.MinInt64:
		return -1
	}
	whole := math.Trunc(f)
	if c := order(int(whole), i); c != 0 {
		return c
	}
	return order(f, whole)
}

func (r *run) arithmetic(op operator, a, b any) (any, error) {
	switch x := a.(type) {
	case int:
		if y, ok := b.(int); ok {
			return integers(op, x, y)
		}
		if y, ok := b.(float64); ok {
			return boxFloat(floats(op, float64(x), y))
		}
	case float64:
		if y, ok := b.(int); ok {
			return boxFloat(floats(op, x, float64(y)))
		}
		if y, ok := b.(float64); ok {
			return boxFloat(floats(op, x, y))
		}
	case string:
		if y, ok := b.(string); ok && op == opAdd {
			if err := r.call.made(len(x) + len(y)); err != nil {
				return nil, err
			}
			return x + y, nil
		}
		return nil, errMismatch
	}
	return temporal(op, a, b)
}

func boxFloat(f float64, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// integers is checked arithmetic: / gives a float, as everywhere in expr.
func integers(op operator, x, y int) (any, error) {
	switch op {
	case opDivide, opPower:
		return boxFloat(floats(op, float64(x), float64(y)))
	}
	n, err := checked(op, x, y)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// checked is + - * % on ints.
func checked(op operator, x, y int) (int, error) {
	switch op {
	case opAdd:
		if z := x + y; (z > x) == (y > 0) {
			return z, nil
		}
	case opSubtract:
		if z := x - y; (z < x) == (y > 0) {
			return z, nil
		}
	case opMultiply:
		if x == 0 || y == 0 {
			return 0, nil
		}
		z := x * y
		if (z < 0) == ((x < 0) != (y < 0)) && z/y == x && !(x == -1 && y == math.MinInt) && !(y == -1 && x == math.MinInt) {
			return z, nil
		}
	default:
		if y == 0 {
			return 0, errZero
		}
		if y == -1 {
			return 0, nil
		}
		return x % y, nil
	}
	return 0, errOverflow
}

func floats(op operator, x, y float64) (z float64, err error) {
	switch op {
	case opAdd:
		z = x + y
	case opSubtract:
		z = x - y
	case opMultiply:
		z = x * y
	case opDivide:
		if y == 0 {
			return 0, errZero
		}
		z = x / y
	case opPower:
		z = math.Pow(x, y)
	default:
		return 0, errMismatch
	}
	if math.IsInf(z, 0) || math.IsNaN(z) {
		return 0, errNotFinite
	}
	return z, nil
}

// temporal is arithmetic on times and durations.
func temporal(op operator, a, b any) (any, error) {
	t, isTime := a.(time.Time)
	d, isDuration := a.(time.Duration)
	switch y := b.(type) {
	case time.Time:
		switch {
		case isTime && op == opSubtract:
			return t.Sub(y), nil
		case isDuration && op == opAdd:
			return y.Add(d), nil
		}
	case time.Duration:
		switch {
		case isTime && op == opAdd:
			return t.Add(y), nil
		case isTime && op == opSubtract && y != math.MinInt64:
			return t.Add(-y), nil
		case isDuration && (op == opAdd || op == opSubtract):
			n, err := checked(op, int(d), int(y))
			return time.Duration(n), err
		case op == opMultiply:
			return scaled(y, a)
		}
	default:
		if isDuration && op == opMultiply {
			return scaled(d, b)
		}
	}
	return nil, errMismatch
}

func scaled(d time.Duration, by any) (any, error) {
	switch n := by.(type) {
	case int:
		z, err := checked(opMultiply, int(d), n)
		return time.Duration(z), err
	case float64:
		f := float64(d) * n
		if math.IsNaN(f) || math.Abs(f) >= math.MaxInt64 {
			return nil, errOverflow
		}
		return time.Duration(f), nil
	}
	return nil, errMismatch
}

// in looks into a list or the keys of a map; nothing is in nil.
func (r *run) in(s *site, a, b any) (any, error) {
	switch b := b.(type) {
	case nil:
		return false, nil
	case []any:
		if text, ok := a.(string); ok && s.set != nil {
			_, found := s.set[text]
			return found, nil
		}
		if err := r.spend(len(b)); err != nil {
			return nil, s.because(err)
		}
		for _, x := range b {
			if equal, err := r.same(a, x); equal || err != nil {
				return equal, err
			}
		}
		return false, nil
	case map[string]any:
		if a == nil {
			return false, nil
		}
		key, ok := a.(string)
		if !ok {
			return nil, s.fail("the keys of a map are strings, not %s,", article(kindName(a)))
		}
		_, found := b[key]
		return found, nil
	case string:
		return nil, s.fail("in looks into a list or map; for a part of a string write %s contains %s,", s.piece(s.right), s.piece(s.left))
	}
	return nil, s.fail("in cannot look into %s", article(kindName(b)))
}

func (r *run) interval(a, b any) (any, error) {
	from, ok1 := a.(int)
	to, ok2 := b.(int)
	if !ok1 || !ok2 {
		return nil, errMismatch
	}
	if to < from {
		return []any{}, nil
	}
	if uint(to)-uint(from) >= maxElements {
		return nil, fmt.Errorf("the range has more than %d elements", maxElements)
	}
	n := to - from + 1
	if err := r.spend(n); err != nil {
		return nil, err
	}
	list := make([]any, n)
	for i := range list {
		list[i] = from + i
	}
	return list, nil
}

func (r *run) unary(s *site, a any) (any, error) {
	if a == nil {
		return nil, s.isNilError(s.left, nil)
	}
	switch x := a.(type) {
	case bool:
		if s.op == opNot {
			return !x, nil
		}
	case int:
		switch {
		case s.op == opPlus:
			return x, nil
		case s.op == opNegate && x != math.MinInt:
			return -x, nil
		case s.op == opNegate:
			return nil, s.because(errOverflow)
		}
	case float64:
		switch s.op {
		case opPlus:
			return x, nil
		case opNegate:
			return -x, nil
		}
	}
	return nil, s.fail("%s cannot take %s", s.op, article(kindName(a)))
}
