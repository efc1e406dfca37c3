// Package expression compiles and evaluates the expressions and templates of a pipeline file: the syntax of expr-lang with the rules
// of docs/language.md on top (nil, checked numbers, delete and keep, the fence against run-away expressions).
//
// Compile gives every mistake it finds as a Problem with rune positions inside the text; the caller adds file and line. A Program is
// immutable and safe for concurrent use. It reads a flow.Message lazily, through the body paths that its Scope collects, and never
// writes one: what the value is written to is the caller's affair.
//
// The package knows no YAML, no node and no connector.
package expression
