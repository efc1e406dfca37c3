package expression

import (
	"fmt"
	"slices"
)

// functions is the whole library, family by family.
var functions = newLibrary(basicFunctions(), textFunctions(), listFunctions(), numberFunctions(), timeFunctions(), codingFunctions(),
	identityFunctions(), parseFunctions(), objectFunctions(), deviceFunctions(), privacyFunctions())

// basicFunctions are those that belong to the language itself.
func basicFunctions() []Function {
	return []Function{
		{
			Name: "try", Types: []any{new(func(any, any) any)}, NilOK: true,
			Doc:      "The first argument, or the second when evaluating the first fails.",
			Examples: [2]Example{{`try(int("x"), 0)`, `0`}, {`try(int("7"), 0)`, `7`}},
			Impl:     func(_ *Call, a []any) (any, error) { return a[0], nil },
		},
		{
			Name: "fail", Types: []any{new(func(string) any)},
			Doc:      "Makes the message fail with this text, code failed.",
			Examples: [2]Example{{`try(fail("no total"), "failed")`, `"failed"`}, {`1 > 2 ? fail("odd") : "fine"`, `"fine"`}},
			Impl:     func(_ *Call, a []any) (any, error) { return nil, failed(a[0].(string)) },
		},
		{
			Name: "lookup", Types: []any{new(func(string, string) any), new(func(string, int) any)},
			Doc:      "The row of a table with this key, nil when there is none.",
			Examples: [2]Example{{`lookup("countries", "DE").name`, `"Germany"`}, {`lookup("countries", "XX")`, `nil`}},
			Impl:     lookUp,
		},
		{
			Name: "type", Types: []any{new(func(any) string)}, Pure: true, NilOK: true,
			Doc:      "The kind of a value: nil bool int float string bytes time duration list map.",
			Examples: [2]Example{{`type(1.5)`, `"float"`}, {`type(nil)`, `"nil"`}},
			Impl:     func(_ *Call, a []any) (any, error) { return kindName(a[0]), nil },
		},
		{
			Name: "len", Types: []any{new(func(string) int), new(func([]byte) int), new(func([]any) int), new(func(map[string]any) int), new(func(any) int)},
			Pure:     true,
			Doc:      "Characters of a string, bytes, elements of a list, entries of a map.",
			Examples: [2]Example{{`len("hé")`, `2`}, {`len([1, 2, 3])`, `3`}},
			Impl:     length,
		},
		{
			Name: "get", Types: []any{new(func(map[string]any, string) any), new(func([]any, int) any), new(func(any, any) any)}, Pure: true,
			Doc:      "A map's entry or a list's element; nil when it is missing.",
			Examples: [2]Example{{`get({a: 1}, "b")`, `nil`}, {`get([1, 2], 1)`, `2`}},
			Impl:     getPart,
		},
	}
}

func lookUp(c *Call, a []any) (any, error) {
	key := fmt.Sprint(a[1])
	if c.run.scope == nil || c.run.scope.Lookup == nil {
		return nil, fmt.Errorf("the file has no tables")
	}
	x, ok, err := c.run.scope.Lookup(a[0].(string), key)
	if err != nil || !ok {
		return nil, err
	}
	return x, nil
}

func length(_ *Call, a []any) (any, error) {
	switch x := a[0].(type) {
	case string:
		return len([]rune(x)), nil
	case []byte:
		return len(x), nil
	case []any:
		return len(x), nil
	case map[string]any:
		return len(x), nil
	}
	return nil, fmt.Errorf("%s has no length", article(kindName(a[0])))
}

func getPart(_ *Call, a []any) (any, error) {
	switch x := a[0].(type) {
	case map[string]any:
		if key, ok := a[1].(string); ok {
			return x[key], nil
		}
	case []any:
		if i, ok := a[1].(int); ok {
			return element(x, i), nil
		}
	}
	return nil, fmt.Errorf("get cannot look for %s in %s", article(kindName(a[1])), article(kindName(a[0])))
}

// element counts negative indexes from the end and is nil outside.
func element(list []any, i int) any {
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return nil
	}
	return list[i]
}

// sortedKeys makes what walks a map give the same result each time.
func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
