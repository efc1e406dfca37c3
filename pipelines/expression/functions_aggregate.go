package expression

import (
	"fmt"
	"math"
	"slices"
)

type aggregate = func(...any) any

func aggregateFunctions() []Function {
	return []Function{
		{Name: "max", Types: []any{new(aggregate)}, Pure: true, Doc: "The largest of the arguments, or of the elements of lists among them.",
			Examples: [2]Example{{`max(1, 2.5, 2)`, `2.5`}, {`max([3, 1])`, `3`}}, Impl: extreme(1)},
		{Name: "min", Types: []any{new(aggregate)}, Pure: true, Doc: "The smallest of the arguments, or of the elements of lists among them.",
			Examples: [2]Example{{`min(3, 1)`, `1`}, {`min(["b", "a"])`, `"a"`}}, Impl: extreme(-1)},
		{Name: "mean", Types: []any{new(func(...any) float64)}, Pure: true, Doc: "The average of numbers.",
			Examples: [2]Example{{`mean([1, 2])`, `1.5`}, {`mean(4)`, `4.0`}}, Impl: mean},
		{Name: "median", Types: []any{new(func(...any) float64)}, Pure: true, Doc: "The middle of numbers.",
			Examples: [2]Example{{`median([3, 1, 2])`, `2.0`}, {`median([1, 2])`, `1.5`}}, Impl: median},
	}
}

func extreme(sign int) func(*Call, []any) (any, error) {
	return func(c *Call, a []any) (any, error) {
		list, err := flattened(c, nil, a)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s of nothing", c.site.fn.Name)
		}
		best := list[0]
		for _, x := range list {
			order, ok := compare(x, best)
			if !ok {
				return nil, fmt.Errorf("%s and %s have no order", article(kindName(best)), article(kindName(x)))
			}
			if order*sign > 0 {
				best = x
			}
		}
		return best, nil
	}
}

func numbers(c *Call, a []any) ([]float64, error) {
	list, err := flattened(c, nil, a)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(list))
	for i, x := range list {
		switch x := x.(type) {
		case int:
			out[i] = float64(x)
		case float64:
			out[i] = x
		default:
			return nil, fmt.Errorf("element %d is %s and no number", i, article(kindName(x)))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s of nothing", c.site.fn.Name)
	}
	return out, nil
}

func mean(c *Call, a []any) (any, error) {
	list, err := numbers(c, a)
	if err != nil {
		return nil, err
	}
	sum := 0.0
	for _, x := range list {
		sum += x
	}
	return finite(sum / float64(len(list)))
}

func median(c *Call, a []any) (any, error) {
	list, err := numbers(c, a)
	if err != nil {
		return nil, err
	}
	slices.Sort(list)
	n := len(list)
	if n%2 == 1 {
		return list[n/2], nil
	}
	return finite(list[n/2-1]/2 + list[n/2]/2)
}

// sum adds the elements of a list; 0 of an empty one.
func sum(c *Call, a []any) (any, error) {
	list := a[0].([]any)
	if err := c.spend(len(list)); err != nil {
		return nil, err
	}
	var total any = 0
	for i, x := range list {
		switch x.(type) {
		case int, float64:
		default:
			return nil, fmt.Errorf("element %d is %s and no number", i, article(kindName(x)))
		}
		var err error
		if total, err = c.run.arithmetic(opAdd, total, x); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func bitFunctions() []Function {
	return []Function{
		bitFunction("bitand", "Bits set in both.", [2]Example{{`bitand(6, 3)`, `2`}, {`bitand(8, 7)`, `0`}}, func(x, y int) (int, error) { return x & y, nil }),
		bitFunction("bitor", "Bits set in one or both.", [2]Example{{`bitor(6, 3)`, `7`}, {`bitor(0, 1)`, `1`}}, func(x, y int) (int, error) { return x | y, nil }),
		bitFunction("bitxor", "Bits set in just one.", [2]Example{{`bitxor(6, 3)`, `5`}, {`bitxor(1, 1)`, `0`}}, func(x, y int) (int, error) { return x ^ y, nil }),
		bitFunction("bitnand", "Bits of the first that the second has not.", [2]Example{{`bitnand(6, 3)`, `4`}, {`bitnand(1, 1)`, `0`}}, func(x, y int) (int, error) { return x &^ y, nil }),
		bitFunction("bitshl", "Shifted left.", [2]Example{{`bitshl(1, 4)`, `16`}, {`bitshl(3, 0)`, `3`}}, shiftLeft),
		bitFunction("bitshr", "Shifted right, the sign kept.", [2]Example{{`bitshr(16, 4)`, `1`}, {`bitshr(-8, 1)`, `-4`}}, shiftRight),
		bitFunction("bitushr", "Shifted right, filled with zeros.", [2]Example{{`bitushr(16, 4)`, `1`}, {`bitushr(-1, 63)`, `1`}}, shiftUnsigned),
		{Name: "bitnot", Types: []any{new(fromInt)}, Pure: true, Doc: "All bits turned.",
			Examples: [2]Example{{`bitnot(0)`, `-1`}, {`bitnot(5)`, `-6`}},
			Impl:     func(_ *Call, a []any) (any, error) { return ^a[0].(int), nil }},
	}
}

func bitFunction(name, doc string, examples [2]Example, f func(x, y int) (int, error)) Function {
	return Function{Name: name, Types: []any{new(fromInts)}, Pure: true, Doc: doc, Examples: examples,
		Impl: func(_ *Call, a []any) (any, error) { return f(a[0].(int), a[1].(int)) }}
}

func shiftLeft(x, y int) (int, error) {
	if y < 0 {
		return 0, fmt.Errorf("a shift cannot be negative")
	}
	if y > 62 && x != 0 || y <= 62 && x<<y>>y != x {
		return 0, errOverflow
	}
	return x << min(y, 63), nil
}

func shiftRight(x, y int) (int, error) {
	if y < 0 {
		return 0, fmt.Errorf("a shift cannot be negative")
	}
	return x >> y, nil
}

func shiftUnsigned(x, y int) (int, error) {
	if y < 0 {
		return 0, fmt.Errorf("a shift cannot be negative")
	}
	u := uint64(x) >> y
	if u > math.MaxInt64 {
		return 0, errOverflow
	}
	return int(u), nil
}
