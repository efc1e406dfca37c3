package expression

import (
	"errors"
	"fmt"
	"slices"
)

type (
	fromList   = func([]any) any
	listToList = func([]any) []any
	fromMap    = func(map[string]any) []any
)

func listFunctions() []Function {
	return []Function{
		{Name: "first", Types: []any{new(fromList)}, Pure: true, Doc: "The first element; nil of an empty list.",
			Examples: [2]Example{{`first([1, 2])`, `1`}, {`first([])`, `nil`}},
			Impl:     func(_ *Call, a []any) (any, error) { return element(a[0].([]any), 0), nil }},
		{Name: "last", Types: []any{new(fromList)}, Pure: true, Doc: "The last element; nil of an empty list.",
			Examples: [2]Example{{`last([1, 2])`, `2`}, {`last([])`, `nil`}},
			Impl:     func(_ *Call, a []any) (any, error) { return element(a[0].([]any), -1), nil }},
		{Name: "take", Types: []any{new(func([]any, int) []any)}, Pure: true, Doc: "The first so many elements.",
			Examples: [2]Example{{`take([1, 2, 3], 2)`, `[1, 2]`}, {`take([1], 5)`, `[1]`}}, Impl: take},
		{Name: "keys", Types: []any{new(fromMap)}, Pure: true, Doc: "The keys of a map, sorted.",
			Examples: [2]Example{{`keys({b: 1, a: 2})`, `["a", "b"]`}, {`keys({})`, `[]`}}, Impl: keys},
		{Name: "values", Types: []any{new(fromMap)}, Pure: true, Doc: "The values of a map, in the order of its keys.",
			Examples: [2]Example{{`values({b: 1, a: 2})`, `[2, 1]`}, {`values({})`, `[]`}}, Impl: values},
		{Name: "toPairs", Types: []any{new(fromMap)}, Pure: true, Doc: "A map as a list of [key, value], sorted by key.",
			Examples: [2]Example{{`toPairs({b: 1, a: 2})`, `[["a", 2], ["b", 1]]`}, {`toPairs({})`, `[]`}}, Impl: toPairs},
		{Name: "fromPairs", Types: []any{new(func([]any) map[string]any)}, Pure: true, Doc: "A map made of a list of [key, value].",
			Examples: [2]Example{{`fromPairs([["a", 1], ["b", 2]])`, `{a: 1, b: 2}`}, {`fromPairs([])`, `{}`}}, Impl: fromPairs},
		{Name: "reverse", Types: []any{new(listToList)}, Pure: true, Doc: "A list from its end.",
			Examples: [2]Example{{`reverse([1, 2, 3])`, `[3, 2, 1]`}, {`reverse([])`, `[]`}}, Impl: reverse},
		{Name: "uniq", Types: []any{new(listToList)}, Pure: true, Doc: "Each element once, at its first place.",
			Examples: [2]Example{{`uniq([1, 2, 1.0])`, `[1, 2]`}, {`uniq([])`, `[]`}}, Impl: uniq},
		{Name: "concat", Types: []any{new(func(...[]any) []any)}, Pure: true, Doc: "Lists in a row.",
			Examples: [2]Example{{`concat([1], [2, 3])`, `[1, 2, 3]`}, {`concat([], [])`, `[]`}}, Impl: concat},
		{Name: "flatten", Types: []any{new(listToList)}, Pure: true, Doc: "Lists inside a list taken apart, however deep.",
			Examples: [2]Example{{`flatten([1, [2, [3]]])`, `[1, 2, 3]`}, {`flatten([])`, `[]`}}, Impl: flatten},
		{Name: "sort", Types: []any{new(listToList), new(func([]any, string) []any)}, Pure: true, Doc: "Numbers, strings or times in order, \"asc\" or \"desc\".",
			Examples: [2]Example{{`sort([3, 1, 2])`, `[1, 2, 3]`}, {`sort(["a", "b"], "desc")`, `["b", "a"]`}}, Impl: sortList},
	}
}

// sumFunction, groupFunction and sortFunction end what the predicates sum, groupBy and sortBy begin.
var (
	sumFunction   = internal("sum", sum, new(fromList))
	groupFunction = internal("groupBy", group, new(fromList))
	sortFunction  = internal("sortBy", sortPairs, new(fromList), new(func([]any, string) []any))
)

func internal(name string, impl func(*Call, []any) (any, error), types ...any) *Function {
	f := &Function{Name: name, Types: types, Impl: impl}
	f.prepare()
	return f
}

func take(_ *Call, a []any) (any, error) {
	list, n := a[0].([]any), a[1].(int)
	if n < 0 {
		return nil, fmt.Errorf("take cannot take a negative number")
	}
	n = min(n, len(list))
	return list[:n:n], nil
}

func keys(c *Call, a []any) (any, error) {
	m := a[0].(map[string]any)
	return texts(sortedKeys(m)), c.listed(len(m))
}

func values(c *Call, a []any) (any, error) {
	m := a[0].(map[string]any)
	out := make([]any, 0, len(m))
	for _, k := range sortedKeys(m) {
		out = append(out, m[k])
	}
	return out, c.listed(len(m))
}

func toPairs(c *Call, a []any) (any, error) {
	m := a[0].(map[string]any)
	out := make([]any, 0, len(m))
	for _, k := range sortedKeys(m) {
		out = append(out, []any{k, m[k]})
	}
	return out, c.listed(len(m))
}

func fromPairs(c *Call, a []any) (any, error) {
	list := a[0].([]any)
	out := make(map[string]any, len(list))
	for i, x := range list {
		pair, ok := x.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("element %d is no [key, value]", i)
		}
		key, ok := pair[0].(string)
		if !ok {
			return nil, fmt.Errorf("the key of element %d is %s and no string", i, article(kindName(pair[0])))
		}
		out[key] = pair[1]
	}
	return out, c.listed(len(list))
}

func reverse(c *Call, a []any) (any, error) {
	out := slices.Clone(a[0].([]any))
	slices.Reverse(out)
	return out, c.listed(len(out))
}

func uniq(c *Call, a []any) (any, error) {
	list := a[0].([]any)
	out := make([]any, 0, len(list))
	seen := map[string]bool{}
	for _, x := range list {
		if s, ok := x.(string); ok {
			if !seen[s] {
				seen[s] = true
				out = append(out, x)
			}
			continue
		}
		known, err := contains(c, out, x)
		if err != nil {
			return nil, err
		}
		if !known {
			out = append(out, x)
		}
	}
	return out, c.listed(len(out))
}

func contains(c *Call, list []any, x any) (bool, error) {
	if err := c.spend(len(list)); err != nil {
		return false, err
	}
	for _, y := range list {
		if equal, err := c.run.same(x, y); equal || err != nil {
			return equal, err
		}
	}
	return false, nil
}

func concat(c *Call, a []any) (any, error) {
	n := 0
	for _, x := range a {
		n += len(x.([]any))
	}
	if err := c.listed(n); err != nil {
		return nil, err
	}
	out := make([]any, 0, n)
	for _, x := range a {
		out = append(out, x.([]any)...)
	}
	return out, nil
}

func flatten(c *Call, a []any) (any, error) {
	out, err := flattened(c, []any{}, a[0].([]any))
	if err != nil {
		return nil, err
	}
	return out, c.listed(len(out))
}

func flattened(c *Call, out, list []any) (_ []any, err error) {
	if err := c.spend(len(list)); err != nil {
		return nil, err
	}
	for _, x := range list {
		if inner, ok := x.([]any); ok {
			if out, err = flattened(c, out, inner); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, x)
	}
	return out, nil
}

var errOrder = errors.New(`the order is "asc" or "desc"`)

func descending(a []any) (bool, error) {
	if len(a) < 2 || a[1] == "asc" {
		return false, nil
	}
	if a[1] == "desc" {
		return true, nil
	}
	return false, errOrder
}

func sortList(c *Call, a []any) (any, error) {
	desc, err := descending(a)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(a[0].([]any))
	if err := c.listed(len(out)); err != nil {
		return nil, err
	}
	return out, sortStable(out, desc, func(x any) any { return x })
}

// sortPairs sorts elements by their keys; equal ones keep their order.
func sortPairs(c *Call, a []any) (any, error) {
	desc, err := descending(a)
	if err != nil {
		return nil, err
	}
	out := a[0].([]any)
	if err := c.listed(len(out)); err != nil {
		return nil, err
	}
	if err := sortStable(out, desc, func(x any) any { return x.([]any)[1] }); err != nil {
		return nil, err
	}
	for i, x := range out {
		out[i] = x.([]any)[0]
	}
	return out, nil
}

func sortStable(list []any, desc bool, key func(any) any) (err error) {
	for i, x := range list {
		if _, ok := compare(key(x), key(list[0])); !ok {
			return fmt.Errorf("element %d is %s and the first %s: they have no order", i, article(kindName(key(x))), article(kindName(key(list[0]))))
		}
	}
	slices.SortStableFunc(list, func(x, y any) int {
		c, _ := compare(key(x), key(y))
		if desc {
			return -c
		}
		return c
	})
	return nil
}

func group(c *Call, a []any) (any, error) {
	out := map[string]any{}
	for _, x := range a[0].([]any) {
		pair := x.([]any)
		key, err := groupKey(c, pair[1])
		if err != nil {
			return nil, err
		}
		list, _ := out[key].([]any)
		out[key] = append(list, pair[0])
	}
	return out, nil
}

// groupKey is the key's text: the keys of a map are strings.
func groupKey(c *Call, x any) (string, error) {
	switch x.(type) {
	case nil:
		return "", fmt.Errorf("a key of groupBy is nil; give a default with ??,")
	case []any, map[string]any, []byte:
		return "", fmt.Errorf("a key of groupBy is %s", article(kindName(x)))
	}
	s, err := toText(c, []any{x})
	if err != nil {
		return "", err
	}
	return s.(string), nil
}
