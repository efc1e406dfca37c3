package expression

import (
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/millstream/millstream/flow/document"
)

// bodyPath takes a chain of constant members apart. optional holds the lengths of the prefixes that ?. asks about.
func bodyPath(n ast.Node) (segments []document.Segment, optional []int, ok bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return nil, nil, n.Value == "body"
	case *ast.MemberNode:
		segments, optional, ok = bodyPath(n.Node)
		if !ok || n.Method {
			return nil, nil, false
		}
		if n.Optional {
			optional = append(optional, len(segments))
		}
		switch p := n.Property.(type) {
		case *ast.StringNode:
			return append(segments, document.Segment{Name: p.Value}), optional, true
		case *ast.IntegerNode:
			return append(segments, document.Segment{Index: p.Value, IsIndex: true}), optional, true
		case *ast.UnaryNode:
			if i, isInt := p.Node.(*ast.IntegerNode); isInt && p.Operator == "-" {
				return append(segments, document.Segment{Index: -i.Value, IsIndex: true}), optional, true
			}
		}
	}
	return nil, nil, false
}

// bodyPath is bodyPath where body is the body, and paths are read lazily.
func (w *rewriter) bodyPath(n ast.Node) ([]document.Segment, []int, bool) {
	if w.whole || w.letBound("body") {
		return nil, nil, false
	}
	return bodyPath(n)
}

// member rewrites a chain of accesses; lenient is how ?? reads its left side.
func (w *rewriter) member(n ast.Node, lenient bool) ast.Node {
	inner := n
	if c, ok := n.(*ast.ChainNode); ok {
		inner = c.Node
	}
	m, ok := inner.(*ast.MemberNode)
	if !ok {
		return w.node(inner)
	}
	if segments, optional, ok := w.bodyPath(m); ok {
		return w.path(n, segments, optional, lenient)
	}
	access := w.access(m, lenient)
	if name, _ := invoked(access); name == "@get" || name == "@optional" {
		if _, chained := n.(*ast.ChainNode); chained || lenient {
			return w.invoke(n, "@end", access)
		}
	}
	return access
}

// path rewrites a path into body. When every step may be missing, one lenient read says the same, but for the end of a list.
func (w *rewriter) path(n ast.Node, segments []document.Segment, optional []int, lenient bool) ast.Node {
	slot := w.scope.Paths.Read(segments...)
	names := !slices.ContainsFunc(segments, func(s document.Segment) bool { return s.IsIndex })
	if lenient || names && len(optional) > 0 && len(optional) == len(segments) {
		return w.slot(n, "@lookup", slot)
	}
	if len(optional) == 0 {
		return w.slot(n, "@slot", slot)
	}
	slots := []document.Slot{slot}
	for _, length := range optional {
		slots = append(slots, w.scope.Paths.Read(segments[:length]...))
	}
	return w.slot(n, "@guarded", slots...)
}

// access rewrites one step of a chain that is no body path.
func (w *rewriter) access(n *ast.MemberNode, lenient bool) ast.Node {
	if id, ok := n.Node.(*ast.IdentifierNode); ok && !w.letBound(id.Value) {
		if name, isName := isConstantText(n.Property); isName {
			switch id.Value {
			case "meta":
				return w.invoke(n, "@meta", constant(name))
			case "source":
				return w.invoke(n, "@source", constant(name))
			case "vars":
				return constant(plainOr(revealed(w.scope.Vars[name])))
			}
		}
	}
	var base ast.Node
	if m, ok := n.Node.(*ast.MemberNode); ok {
		base = w.chained(m, lenient)
	} else {
		base = w.node(n.Node)
	}
	s := &site{src: w.src, node: n, left: n.Node, lenient: lenient}
	key := w.node(n.Property)
	b, isConstant := constantOf(base)
	if k, ok := constantOf(key); ok && isConstant {
		if folded, ok := w.folded(n)((&run{}).get(s, b, k)); ok {
			return folded
		}
	}
	if n.Optional || lenient {
		return w.invoke(n, "@optional", constant(s), base, key)
	}
	return w.invoke(n, "@get", constant(s), base, key)
}

// chained rewrites the part of a chain before a step.
func (w *rewriter) chained(m *ast.MemberNode, lenient bool) ast.Node {
	if segments, optional, ok := w.bodyPath(m); ok && len(optional) == 0 {
		return w.path(m, segments, nil, lenient)
	}
	return w.access(m, lenient)
}

func (w *rewriter) slice(n *ast.SliceNode) ast.Node {
	s := &site{src: w.src, node: n, left: n.Node}
	from, to := constant(nil), constant(nil)
	if n.From != nil {
		from = w.node(n.From)
	}
	if n.To != nil {
		to = w.node(n.To)
	}
	return w.invoke(n, "@slice", constant(s), w.node(n.Node), from, to)
}
