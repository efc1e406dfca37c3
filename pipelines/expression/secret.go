package expression

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// Secret is a text among Vars that must not be shown: an expression may use it in hmac, and in a header of a sink.
type Secret interface{ Reveal() string }

// isSecret tells whether a constant is a secret, holdsSecret whether one is in it.
func isSecret(x any) bool {
	_, ok := x.(Secret)
	return ok
}

func holdsSecret(x any) bool {
	switch x := x.(type) {
	case Secret:
		return true
	case map[string]any:
		for _, part := range x {
			if holdsSecret(part) {
				return true
			}
		}
	case []any:
		for _, part := range x {
			if holdsSecret(part) {
				return true
			}
		}
	}
	return false
}

// revealed is a constant for the evaluation.
func revealed(x any) any {
	switch x := x.(type) {
	case Secret:
		return x.Reveal()
	case map[string]any:
		if holdsSecret(x) {
			out := make(map[string]any, len(x))
			for name, part := range x {
				out[name] = revealed(part)
			}
			return out
		}
	case []any:
		if holdsSecret(x) {
			out := make([]any, len(x))
			for i, part := range x {
				out[i] = revealed(part)
			}
			return out
		}
	}
	return x
}

// constantAt is the part of vars that a node reads by constant names and indexes; exact is false where the message decides which.
func (v *scanner) constantAt(n ast.Node) (x any, exact, ok bool) {
	switch n := n.(type) {
	case *ast.ChainNode:
		return v.constantAt(n.Node)
	case *ast.IdentifierNode:
		return v.scope.Vars, true, n.Value == "vars"
	case *ast.MemberNode:
		x, exact, ok = v.constantAt(n.Node)
		if !ok || !exact {
			return x, exact, ok
		}
		switch base := x.(type) {
		case map[string]any:
			if name, constant := isConstantText(n.Property); constant {
				return base[name], true, true
			}
		case []any:
			if i, constant := n.Property.(*ast.IntegerNode); constant {
				return element(base, i.Value), true, true
			}
		}
		return x, false, true
	}
	return nil, false, false
}

func (v *scanner) secretShown(n ast.Node, verb, hint string) {
	from, to := within(string(v.src), v.start(n), n.Location().To)
	v.problems = append(v.problems, Problem{From: from, To: to, Code: "secret-shown",
		Message: fmt.Sprintf("%s %s a secret, and this would show it", n, verb), Hint: hint})
}

// secrets finds what an expression would show of secrets. allowed says that n is where one may stand.
func (v *scanner) secrets(n ast.Node, allowed bool) {
	if x, exact, ok := v.constantAt(n); ok {
		switch {
		case !holdsSecret(x):
		case exact && isSecret(x) && allowed:
		case exact && isSecret(x):
			v.secretShown(n, "is", "a secret may stand in hmac(text, secret) and in headers of a sink")
		default:
			v.secretShown(n, "holds", "name the constant that is wanted: vars.name")
		}
		if m, ok := n.(*ast.MemberNode); ok {
			v.secrets(m.Property, false)
		}
		return
	}
	if c, ok := n.(*ast.CallNode); ok {
		callee, named := c.Callee.(*ast.IdentifierNode)
		for i, a := range c.Arguments {
			v.secrets(a, v.scope.Header || named && callee.Value == "hmac" && i < 2)
		}
		return
	}
	for _, c := range children(n) {
		v.secrets(*c, v.scope.Header)
	}
}
