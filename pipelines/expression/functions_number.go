package expression

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

type (
	fromInt    = func(int) int
	fromFloat  = func(float64) float64
	fromFloats = func(float64, float64) float64
	fromInts   = func(int, int) int
)

func numberFunctions() []Function {
	return slices.Concat(roundingFunctions(), aggregateFunctions(), bitFunctions())
}

func roundingFunctions() []Function {
	return []Function{
		{Name: "int", Types: []any{new(func(any) int)}, Pure: true, Doc: "A number without its fraction, or the int that a string says.",
			Examples: [2]Example{{`int("42")`, `42`}, {`int(-1.9)`, `-1`}}, Impl: toInt},
		{Name: "float", Types: []any{new(func(any) float64)}, Pure: true, Doc: "A number as a float, the float that a string says, the seconds of a duration.",
			Examples: [2]Example{{`float("1.5")`, `1.5`}, {`float(duration("1m30s"))`, `90.0`}}, Impl: toFloat},
		{Name: "abs", Types: []any{new(fromInt), new(fromFloat), new(func(any) any)}, Pure: true, Doc: "Without its sign.",
			Examples: [2]Example{{`abs(-2)`, `2`}, {`abs(1.5)`, `1.5`}}, Impl: absolute},
		{Name: "ceil", Types: []any{new(fromFloat)}, Pure: true, Doc: "The next whole number above.",
			Examples: [2]Example{{`ceil(1.2)`, `2.0`}, {`ceil(-1.2)`, `-1.0`}}, Impl: floatWith(math.Ceil)},
		{Name: "floor", Types: []any{new(fromFloat)}, Pure: true, Doc: "The next whole number below.",
			Examples: [2]Example{{`floor(1.8)`, `1.0`}, {`floor(-1.2)`, `-2.0`}}, Impl: floatWith(math.Floor)},
		{Name: "round", Types: []any{new(fromFloat)}, Pure: true, Doc: "The nearest whole number, halves away from zero.",
			Examples: [2]Example{{`round(1.5)`, `2.0`}, {`round(-1.4)`, `-1.0`}}, Impl: floatWith(math.Round)},
		{Name: "roundTo", Types: []any{new(func(float64, int) float64)}, Pure: true, Doc: "Rounded to so many decimals; a negative number rounds to tens, hundreds, ….",
			Examples: [2]Example{{`roundTo(3.14159, 2)`, `3.14`}, {`roundTo(1234.0, -2)`, `1200.0`}}, Impl: roundTo},
		{Name: "clamp", Types: []any{new(func(int, int, int) int), new(func(float64, float64, float64) float64)}, Pure: true, Doc: "The number, kept between the two others.",
			Examples: [2]Example{{`clamp(120, 0, 100)`, `100`}, {`clamp(0.5, 0.0, 1.0)`, `0.5`}}, Impl: clamp},
		{Name: "pow", Types: []any{new(fromFloats)}, Pure: true, Doc: "The first to the power of the second.",
			Examples: [2]Example{{`pow(2, 10)`, `1024.0`}, {`pow(9, 0.5)`, `3.0`}},
			Impl:     func(_ *Call, a []any) (any, error) { return finite(math.Pow(a[0].(float64), a[1].(float64))) }},
		{Name: "sqrt", Types: []any{new(fromFloat)}, Pure: true, Doc: "The square root.",
			Examples: [2]Example{{`sqrt(16)`, `4.0`}, {`roundTo(sqrt(2), 3)`, `1.414`}}, Impl: floatWith(math.Sqrt)},
		{Name: "log", Types: []any{new(fromFloat), new(fromFloats)}, Pure: true, Doc: "The natural logarithm, or that of a base.",
			Examples: [2]Example{{`log(1)`, `0.0`}, {`log(8, 2)`, `3.0`}}, Impl: logarithm},
		{Name: "div", Types: []any{new(fromInts)}, Pure: true, Doc: "Division of ints, rounded down.",
			Examples: [2]Example{{`div(7, 2)`, `3`}, {`div(-7, 2)`, `-4`}}, Impl: div},
		{Name: "mod", Types: []any{new(fromInts)}, Pure: true, Doc: "The rest of div: never negative for a positive divisor, unlike %.",
			Examples: [2]Example{{`mod(7, 3)`, `1`}, {`mod(-7, 3)`, `2`}}, Impl: mod},
		{Name: "isFinite", Types: []any{new(func(any) bool)}, Pure: true, Doc: "Whether it is a number, or a string that says one.",
			Examples: [2]Example{{`isFinite("1e3")`, `true`}, {`isFinite("NaN")`, `false`}}, Impl: isFinite},
		{Name: "parseInt", Types: []any{new(textInt), new(textIntBase)}, Pure: true, Doc: "The int that a string says in a base from 2 to 36, 10 if left out.",
			Examples: [2]Example{{`parseInt("ff", 16)`, `255`}, {`parseInt("-12")`, `-12`}}, Impl: parseInt},
	}
}

type (
	textInt     = func(string) int
	textIntBase = func(string, int) int
)

func finite(f float64) (any, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, errNotFinite
	}
	return f, nil
}

func floatWith(f func(float64) float64) func(*Call, []any) (any, error) {
	return func(_ *Call, a []any) (any, error) { return finite(f(a[0].(float64))) }
}

func toInt(_ *Call, a []any) (any, error) {
	switch x := a[0].(type) {
	case int:
		return x, nil
	case float64:
		f := math.Trunc(x)
		if f >= -math.MinInt64 || f < math.MinInt64 {
			return nil, errOverflow
		}
		return int(f), nil
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the string says no int")
		}
		return int(n), nil
	}
	return nil, fmt.Errorf("int cannot take %s", article(kindName(a[0])))
}

func toFloat(_ *Call, a []any) (any, error) {
	switch x := a[0].(type) {
	case int:
		return float64(x), nil
	case float64:
		return x, nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(x), 64)
		if err != nil {
			return nil, fmt.Errorf("the string says no number")
		}
		return finite(f)
	case time.Duration:
		return x.Seconds(), nil
	}
	return nil, fmt.Errorf("float cannot take %s", article(kindName(a[0])))
}

func absolute(_ *Call, a []any) (any, error) {
	switch x := a[0].(type) {
	case int:
		if x == math.MinInt {
			return nil, errOverflow
		}
		return max(x, -x), nil
	case float64:
		return math.Abs(x), nil
	}
	return nil, fmt.Errorf("abs cannot take %s", article(kindName(a[0])))
}

func roundTo(_ *Call, a []any) (any, error) {
	x, n := a[0].(float64), a[1].(int)
	switch {
	case n > 15:
		return x, nil
	case n >= 0:
		f, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', n, 64), 64)
		if scaled := x * math.Pow10(n); math.Abs(scaled) < 1<<52 {
			f = math.Round(scaled) / math.Pow10(n) // halves away from zero, as round does
		}
		if err != nil {
			return nil, err
		}
		return finite(f)
	case n < -308:
		return 0.0, nil
	}
	p := math.Pow10(-n)
	return finite(math.Round(x/p) * p)
}

func clamp(_ *Call, a []any) (any, error) {
	if x, ok := a[0].(int); ok {
		lo, hi := a[1].(int), a[2].(int)
		if lo > hi {
			return nil, fmt.Errorf("the lower bound is above the upper")
		}
		return max(lo, min(x, hi)), nil
	}
	x, lo, hi := a[0].(float64), a[1].(float64), a[2].(float64)
	if lo > hi {
		return nil, fmt.Errorf("the lower bound is above the upper")
	}
	return max(lo, min(x, hi)), nil
}

func logarithm(_ *Call, a []any) (any, error) {
	x := math.Log(a[0].(float64))
	if len(a) == 2 {
		switch a[1].(float64) {
		case 2:
			x = math.Log2(a[0].(float64))
		case 10:
			x = math.Log10(a[0].(float64))
		default:
			x /= math.Log(a[1].(float64))
		}
	}
	return finite(x)
}

func div(_ *Call, a []any) (any, error) {
	x, y := a[0].(int), a[1].(int)
	switch {
	case y == 0:
		return nil, errZero
	case y == -1 && x == math.MinInt:
		return nil, errOverflow
	}
	q := x / y
	if x%y != 0 && (x < 0) != (y < 0) {
		q--
	}
	return q, nil
}

func mod(_ *Call, a []any) (any, error) {
	x, y := a[0].(int), a[1].(int)
	switch y {
	case 0:
		return nil, errZero
	case -1:
		return 0, nil
	}
	r := x % y
	if r != 0 && (r < 0) != (y < 0) {
		r += y
	}
	return r, nil
}

func isFinite(c *Call, a []any) (any, error) {
	switch a[0].(type) {
	case int, float64, string:
		_, err := toFloat(c, a)
		return err == nil, nil
	}
	return false, nil
}

func parseInt(_ *Call, a []any) (any, error) {
	base := 10
	if len(a) == 2 {
		base = a[1].(int)
	}
	if base < 2 || base > 36 {
		return nil, fmt.Errorf("a base is between 2 and 36")
	}
	n, err := strconv.ParseInt(a[0].(string), base, 64)
	if err != nil {
		return nil, fmt.Errorf("the string says no int in base %d", base)
	}
	return int(n), nil
}
