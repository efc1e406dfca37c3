package reference

import "github.com/millstream/millstream/pipelines/expression"

// Predicate is a function of the language whose second argument is evaluated for each element of a list.
type Predicate struct {
	Name, Signature, Doc string
	Example              expression.Example
}

// Predicates lists them; they are syntax, and so not among the functions of the library.
func Predicates() []Predicate {
	return []Predicate{
		{"all", "all(list, condition) bool", "Whether the condition is true for every element.", expression.Example{Expr: `all([1, 2], it > 0)`, Result: `true`}},
		{"any", "any(list, condition) bool", "Whether the condition is true for an element.", expression.Example{Expr: `any([1, 2], it > 1)`, Result: `true`}},
		{"none", "none(list, condition) bool", "Whether the condition is true for no element.", expression.Example{Expr: `none([1, 2], it > 2)`, Result: `true`}},
		{"one", "one(list, condition) bool", "Whether the condition is true for exactly one element.", expression.Example{Expr: `one([1, 2], it > 1)`, Result: `true`}},
		{"filter", "filter(list, condition) list", "The elements for which the condition is true.", expression.Example{Expr: `filter([1, 2, 3], it > 1)`, Result: `[2, 3]`}},
		{"map", "map(list, expression) list", "A list of what the expression gives for each element.", expression.Example{Expr: `map([1, 2], it * 10)`, Result: `[10, 20]`}},
		{"count", "count(list, condition) int", "How many elements the condition is true for.", expression.Example{Expr: `count([1, 2, 3], it > 1)`, Result: `2`}},
		{"sum", "sum(list, expression) number", "The sum of what the expression gives for each element.", expression.Example{Expr: `sum([{n: 1}, {n: 2}], it.n)`, Result: `3`}},
		{"find", "find(list, condition) any", "The first element for which the condition is true; nil when there is none.", expression.Example{Expr: `find([1, 2, 3], it > 1)`, Result: `2`}},
		{"findIndex", "findIndex(list, condition) int", "The index of the first element for which the condition is true; nil when there is none.", expression.Example{Expr: `findIndex([1, 2, 3], it > 1)`, Result: `1`}},
		{"findLast", "findLast(list, condition) any", "The last element for which the condition is true; nil when there is none.", expression.Example{Expr: `findLast([1, 2, 3], it > 1)`, Result: `3`}},
		{"findLastIndex", "findLastIndex(list, condition) int", "The index of the last element for which the condition is true; nil when there is none.", expression.Example{Expr: `findLastIndex([1, 2, 3], it > 1)`, Result: `2`}},
		{"groupBy", "groupBy(list, expression) map", "The elements as lists under what the expression gives for them.", expression.Example{Expr: `groupBy(["a", "bb", "c"], string(len(it)))`, Result: `{"1": ["a", "c"], "2": ["bb"]}`}},
		{"sortBy", "sortBy(list, expression) list", "The elements in the order of what the expression gives for them.", expression.Example{Expr: `sortBy([{n: 2}, {n: 1}], it.n)`, Result: `[{n: 1}, {n: 2}]`}},
		{"reduce", "reduce(list, expression, start) any", "What is left when the expression has joined #acc with each element.", expression.Example{Expr: `reduce([1, 2, 3], #acc + it, 0)`, Result: `6`}},
	}
}
