package expression

import (
	"github.com/expr-lang/expr/ast"
)

// children are the places of n's direct parts, in the order of the text.
func children(n ast.Node) []*ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []*ast.Node{&n.Node}
	case *ast.BinaryNode:
		return []*ast.Node{&n.Left, &n.Right}
	case *ast.ChainNode:
		return []*ast.Node{&n.Node}
	case *ast.MemberNode:
		return []*ast.Node{&n.Node, &n.Property}
	case *ast.SliceNode:
		return present(&n.Node, &n.From, &n.To)
	case *ast.CallNode:
		return append([]*ast.Node{&n.Callee}, places(n.Arguments)...)
	case *ast.BuiltinNode:
		return places(n.Arguments)
	case *ast.PredicateNode:
		return []*ast.Node{&n.Node}
	case *ast.VariableDeclaratorNode:
		return []*ast.Node{&n.Value, &n.Expr}
	case *ast.SequenceNode:
		return places(n.Nodes)
	case *ast.ConditionalNode:
		return []*ast.Node{&n.Cond, &n.Exp1, &n.Exp2}
	case *ast.ArrayNode:
		return places(n.Nodes)
	case *ast.MapNode:
		return places(n.Pairs)
	case *ast.PairNode:
		return []*ast.Node{&n.Key, &n.Value}
	}
	return nil
}

func places(nodes []ast.Node) []*ast.Node {
	out := make([]*ast.Node, len(nodes))
	for i := range nodes {
		out[i] = &nodes[i]
	}
	return out
}

func present(nodes ...*ast.Node) []*ast.Node {
	out := nodes[:0]
	for _, n := range nodes {
		if *n != nil {
			out = append(out, n)
		}
	}
	return out
}

// visits counts nodes as a walk meets them, up to limit. The parser lets chained comparisons share their middle operand, so a small
// text can unfold into a tree without end.
func visits(n ast.Node, limit int) int {
	count := 1
	for _, c := range children(n) {
		if count >= limit {
			return limit
		}
		count += visits(*c, limit-count)
	}
	return count
}

// bindIt makes `it` the pointer that expr knows as #, inside predicates.
func bindIt(place *ast.Node, inside bool) {
	switch n := (*place).(type) {
	case *ast.IdentifierNode:
		if inside && n.Value == "it" {
			ast.Patch(place, &ast.PointerNode{})
		}
		return
	case *ast.PredicateNode:
		inside = true
	}
	for _, c := range children(*place) {
		bindIt(c, inside)
	}
}

// root is the identifier that a chain of member accesses starts from.
func root(n ast.Node) (string, bool) {
	for {
		switch m := n.(type) {
		case *ast.ChainNode:
			n = m.Node
		case *ast.MemberNode:
			n = m.Node
		case *ast.IdentifierNode:
			return m.Value, true
		default:
			return "", false
		}
	}
}

// isConstantText gives the text of a string literal.
func isConstantText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.ConstantNode:
		s, ok := n.Value.(string)
		return s, ok
	}
	return "", false
}
