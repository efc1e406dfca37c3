package expression

import (
	"regexp"

	"github.com/expr-lang/expr/ast"
)

// attempt is the two parts of a try, each a program of its own.
type attempt struct {
	part, fallback *code
}

func (w *rewriter) call(n *ast.CallNode) ast.Node {
	name := n.Callee.(*ast.IdentifierNode).Value
	f := functions.byName[name]
	if name == "try" {
		return w.tried(n)
	}
	s := &site{src: w.src, node: n, fn: f, args: n.Arguments}
	args := w.nodes(n.Arguments)
	if pattern, ok := lastText(n.Arguments); ok && f.Name == "captures" {
		s.pattern, _ = regexp.Compile(pattern)
	}
	if values, ok := allConstant(args); ok && f.Pure {
		if folded, ok := w.folded(n)(newRun().invoke(s, values)); ok {
			return folded
		}
	}
	return w.invoke(n, "@call", append([]ast.Node{constant(s)}, args...)...)
}

func lastText(args []ast.Node) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	return isConstantText(args[len(args)-1])
}

// applied is a call of a function that has no name in the language.
func (w *rewriter) applied(at ast.Node, f *Function, args ...ast.Node) ast.Node {
	s := &site{src: w.src, node: at, fn: f, args: []ast.Node{at, at, at}}
	if b, ok := at.(*ast.BuiltinNode); ok {
		s.args = b.Arguments
	}
	return w.invoke(at, "@call", append([]ast.Node{constant(s)}, args...)...)
}

// tried makes programs of the two parts. What they use of the predicate or the let around them is handed in.
func (w *rewriter) tried(n *ast.CallNode) ast.Node {
	part := &rewriter{src: w.src, scope: w.scope, whole: w.whole, parent: w, quiet: true}
	first := part.node(n.Arguments[0])
	fallback := &rewriter{src: w.src, scope: w.scope, whole: w.whole, parent: w, quiet: w.quiet, captured: part.captured}
	second := fallback.node(n.Arguments[1])
	w.problems = append(w.problems, fallback.problems...)
	s := &site{src: w.src, node: n, try: &attempt{part: compileNode(first), fallback: compileNode(second)}}
	return w.invoke(n, "@try", append([]ast.Node{constant(s)}, w.nodes(fallback.captured)...)...)
}

func (w *rewriter) builtin(n *ast.BuiltinNode) ast.Node {
	list := w.list(n)
	switch n.Name {
	case "map":
		return w.looped(n, "map", list, w.body(n.Arguments[1]))
	case "sum":
		if len(n.Arguments) == 2 {
			list = w.looped(n, "map", list, w.body(n.Arguments[1]))
		}
		return w.applied(n, sumFunction, list)
	case "groupBy":
		return w.applied(n, groupFunction, w.pairs(n, list))
	case "sortBy":
		args := []ast.Node{w.pairs(n, list)}
		if len(n.Arguments) == 3 {
			args = append(args, w.node(n.Arguments[2]))
		}
		return w.applied(n, sortFunction, args...)
	case "reduce":
		out := []ast.Node{list, w.body(n.Arguments[1])}
		if len(n.Arguments) == 3 {
			out = append(out, w.node(n.Arguments[2]))
		}
		return w.looped(n, "reduce", out...)
	case "findLast", "findLastIndex":
		return w.findLast(n, list)
	case "count":
		if len(n.Arguments) == 1 {
			return w.looped(n, "count", list, w.predicate(n, &ast.PredicateNode{Node: &ast.PointerNode{}}))
		}
	}
	return w.looped(n, n.Name, list, w.predicate(n, n.Arguments[1]))
}

// findLast is the last of all that a filter lets pass: the loop that expr makes for it leaves values on its stack.
func (w *rewriter) findLast(n *ast.BuiltinNode, list ast.Node) ast.Node {
	found := &ast.BuiltinNode{Name: "filter", Arguments: []ast.Node{list, w.predicate(n, n.Arguments[1])}}
	if n.Name == "findLastIndex" {
		found.Map = &ast.PointerNode{Name: "index"}
	}
	found.SetLocation(n.Location())
	found.SetType(resultType)
	return w.applied(n, functions.byName["last"], found)
}

func (w *rewriter) looped(at ast.Node, name string, args ...ast.Node) ast.Node {
	out := &ast.BuiltinNode{Name: name, Arguments: args}
	out.SetLocation(at.Location())
	out.SetType(resultType)
	return out
}

// list is the collection of a predicate, checked.
func (w *rewriter) list(n *ast.BuiltinNode) ast.Node {
	s := &site{src: w.src, node: n, left: n.Arguments[0]}
	return w.invoke(n, "@list", constant(s), w.node(n.Arguments[0]))
}

// body rewrites what a predicate does with each element; every round is a step.
func (w *rewriter) body(n ast.Node) ast.Node {
	p := n.(*ast.PredicateNode)
	w.inside++
	x := w.node(p.Node)
	w.inside--
	return &ast.PredicateNode{Node: w.invoke(p.Node, "@step", x)}
}

// predicate is body for what must give a bool.
func (w *rewriter) predicate(whole *ast.BuiltinNode, n ast.Node) ast.Node {
	p := n.(*ast.PredicateNode)
	w.inside++
	x := w.node(p.Node)
	w.inside--
	return &ast.PredicateNode{Node: w.invoke(p.Node, "@predicate", constant(&site{src: w.src, op: opAnd, node: whole, left: p.Node}), x)}
}

// pairs is a list of [element, key].
func (w *rewriter) pairs(n *ast.BuiltinNode, list ast.Node) ast.Node {
	p := n.Arguments[1].(*ast.PredicateNode)
	w.inside++
	key := w.node(p.Node)
	element := w.pointer(&ast.PointerNode{})
	w.inside--
	pair := &ast.ArrayNode{Nodes: []ast.Node{element, key}}
	return w.looped(n, "map", list, &ast.PredicateNode{Node: w.invoke(p.Node, "@step", pair)})
}
