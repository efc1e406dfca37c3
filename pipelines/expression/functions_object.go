package expression

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func objectFunctions() []Function {
	return []Function{
		{Name: "merge", Types: []any{new(func(map[string]any, ...map[string]any) map[string]any)}, Pure: true, Doc: "One map of all, the last one wins; not deep.",
			Examples: [2]Example{{`merge({a: 1, b: 1}, {b: 2})`, `{a: 1, b: 2}`}, {`merge({a: {x: 1}}, {a: {y: 2}})`, `{a: {y: 2}}`}}, Impl: merge},
		{Name: "pick", Types: []any{new(func(map[string]any, []any) map[string]any), new(func(map[string]any, ...string) map[string]any)}, Pure: true,
			Doc:      "A map of these keys alone; those that are missing stay so.",
			Examples: [2]Example{{`pick({a: 1, b: 2}, "a", "c")`, `{a: 1}`}, {`pick({a: 1, b: 2}, ["b"])`, `{b: 2}`}}, Impl: pick},
		{Name: "omit", Types: []any{new(func(map[string]any, []any) map[string]any), new(func(map[string]any, ...string) map[string]any)}, Pure: true,
			Doc:      "A map without these keys.",
			Examples: [2]Example{{`omit({a: 1, b: 2}, "a")`, `{b: 2}`}, {`omit({a: 1}, ["a", "b"])`, `{}`}}, Impl: omit},
		{Name: "flattenMap", Types: []any{new(func(map[string]any) map[string]any), new(func(map[string]any, string) map[string]any)}, Pure: true,
			Doc:      "Maps and lists inside a map as one map of joined keys; the separator is a dot if left out.",
			Examples: [2]Example{{`flattenMap({a: {b: 1, c: [2, 3]}})`, `{"a.b": 1, "a.c.0": 2, "a.c.1": 3}`}, {`flattenMap({a: {b: 1}}, "_")`, `{a_b: 1}`}}, Impl: flattenMap},
		{Name: "getPath", Types: []any{new(func(any, string) any), new(func(any, string, any) any)}, Pure: true, NilOK: true,
			Doc:      "What stands at a path such as a.b[0]; the third argument, or nil, where it is missing or nil.",
			Examples: [2]Example{{`getPath({a: {b: [1, 2]}}, "a.b[1]")`, `2`}, {`getPath({a: 1}, "a.x.y", "none")`, `"none"`}}, Impl: getPath},
	}
}

func merge(c *Call, a []any) (any, error) {
	out := map[string]any{}
	for _, x := range a {
		m := x.(map[string]any)
		if err := c.spend(len(m)); err != nil {
			return nil, err
		}
		maps.Copy(out, m)
	}
	return out, nil
}

func namesOf(a []any) ([]string, error) {
	if len(a) == 1 {
		if list, ok := a[0].([]any); ok {
			a = list
		}
	}
	names := make([]string, len(a))
	for i, x := range a {
		s, ok := x.(string)
		if !ok {
			return nil, fmt.Errorf("key %d is %s and no string", i, article(kindName(x)))
		}
		names[i] = s
	}
	return names, nil
}

func pick(c *Call, a []any) (any, error) {
	names, err := namesOf(a[1:])
	if err != nil {
		return nil, err
	}
	m, out := a[0].(map[string]any), map[string]any{}
	for _, name := range names {
		if x, ok := m[name]; ok {
			out[name] = x
		}
	}
	return out, c.spend(len(names))
}

func omit(c *Call, a []any) (any, error) {
	names, err := namesOf(a[1:])
	if err != nil {
		return nil, err
	}
	out := maps.Clone(a[0].(map[string]any))
	for _, name := range names {
		delete(out, name)
	}
	return out, c.spend(len(out) + len(names))
}

func flattenMap(c *Call, a []any) (any, error) {
	separator := "."
	if len(a) == 2 {
		separator = a[1].(string)
	}
	out := map[string]any{}
	return out, flattenInto(c, out, "", separator, a[0])
}

func flattenInto(c *Call, out map[string]any, prefix, separator string, x any) error {
	if err := c.spend(1 + len(prefix)/bytesAStep); err != nil {
		return err
	}
	below := func(name string) string {
		if prefix == "" {
			return name
		}
		return prefix + separator + name
	}
	switch x := x.(type) {
	case map[string]any:
		for _, k := range sortedKeys(x) {
			if err := flattenInto(c, out, below(k), separator, x[k]); err != nil {
				return err
			}
		}
		if len(x) > 0 || prefix == "" {
			return nil
		}
	case []any:
		for i, y := range x {
			if err := flattenInto(c, out, below(strconv.Itoa(i)), separator, y); err != nil {
				return err
			}
		}
		if len(x) > 0 {
			return nil
		}
	}
	out[prefix] = x
	return nil
}

func getPath(_ *Call, a []any) (any, error) {
	path, ok := a[1].(string)
	if !ok {
		return nil, fmt.Errorf("the path is %s and no string", article(kindName(a[1])))
	}
	x := a[0]
	for _, step := range pathSteps(path) {
		switch y := x.(type) {
		case map[string]any:
			x = y[step]
		case []any:
			i, err := strconv.Atoi(step)
			if x = nil; err == nil {
				x = element(y, i)
			}
		default:
			x = nil
		}
	}
	if x == nil && len(a) == 3 {
		return a[2], nil
	}
	return x, nil
}

// pathSteps takes a.b[0]["c d"] apart.
func pathSteps(path string) []string {
	path = bracketed.Replace(path)
	steps := strings.Split(path, ".")
	return slices.DeleteFunc(steps, func(s string) bool { return s == "" })
}

var bracketed = strings.NewReplacer(`["`, ".", `"]`, "", "[", ".", "]", "")
