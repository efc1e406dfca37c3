package expression

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func privacyFunctions() []Function {
	return []Function{
		{Name: "mask", Types: []any{new(fromTextInt)}, Pure: true, Doc: "All but the last so many characters become *.",
			Examples: [2]Example{{`mask("4111111111111111", 4)`, `"************1111"`}, {`mask("abc", 5)`, `"abc"`}}, Impl: mask},
		{Name: "redact", Types: []any{new(func(any, []any) any), new(func(any, ...string) any)}, Pure: true,
			Doc:      "A copy in which what stands at these paths is ***; a[*].b means every element.",
			Examples: [2]Example{{`redact({a: 1, b: {c: 2}}, ["b.c", "x"])`, `{a: 1, b: {c: "***"}}`}, {`redact({xs: [{k: 1}, {k: 2}]}, "xs[*].k")`, `{xs: [{k: "***"}, {k: "***"}]}`}}, Impl: redact},
	}
}

func mask(c *Call, a []any) (any, error) {
	runes, keep := []rune(a[0].(string)), a[1].(int)
	if keep < 0 {
		return nil, fmt.Errorf("mask cannot keep a negative number of characters")
	}
	hidden := max(0, len(runes)-keep)
	return strings.Repeat("*", hidden) + string(runes[hidden:]), c.made(len(runes))
}

func redact(c *Call, a []any) (any, error) {
	paths, err := namesOf(a[1:])
	if err != nil {
		return nil, err
	}
	x := a[0]
	for _, p := range paths {
		if x, err = redacted(c, x, pathSteps(p)); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// redacted copies on the way down; a path that does not exist changes nothing.
func redacted(c *Call, x any, steps []string) (any, error) {
	if len(steps) == 0 {
		return "***", nil
	}
	switch y := x.(type) {
	case map[string]any:
		inner, ok := y[steps[0]]
		if !ok {
			return x, nil
		}
		if err := c.spend(1 + len(y)); err != nil {
			return nil, err
		}
		hidden, err := redacted(c, inner, steps[1:])
		if err != nil {
			return nil, err
		}
		out := maps.Clone(y)
		out[steps[0]] = hidden
		return out, nil
	case []any:
		return redactedList(c, y, steps)
	}
	return x, nil
}

func redactedList(c *Call, list []any, steps []string) (any, error) {
	if err := c.spend(1 + len(list)); err != nil {
		return nil, err
	}
	out := slices.Clone(list)
	for i := range out {
		if steps[0] != "*" && steps[0] != strconv.Itoa(i) {
			continue
		}
		hidden, err := redacted(c, out[i], steps[1:])
		if err != nil {
			return nil, err
		}
		out[i] = hidden
	}
	return out, nil
}
