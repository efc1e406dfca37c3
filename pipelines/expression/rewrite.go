package expression

import (
	"reflect"
	"regexp"
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// rewriter makes of the tree as written the tree that is run: body paths become slots, and every operation that can fail becomes a call
// with a site that has the words for it. What is constant is folded. The names of the calls start with @, which no text can write.
//
// The parser lets chained comparisons share an operand, so nothing is changed in place.
type rewriter struct {
	src      []rune
	scope    *Scope
	parent   *rewriter // of a part of try, which is a program of its own
	captured []ast.Node
	lets     []string // declared in this program
	inside   int      // predicates of this program around the node
	whole    bool     // no body paths: the body is decoded and walked, as tests compare with
	quiet    bool     // inside try: what always fails is no problem
	problems []Problem
}

var resultType = reflect.TypeFor[bool]() // keeps expr's compiler from emitting OpDeref: none of our values is a pointer

func constant(x any) ast.Node {
	n := &ast.ConstantNode{Value: x}
	n.SetType(resultType)
	return n
}

func constantOf(n ast.Node) (any, bool) {
	c, ok := n.(*ast.ConstantNode)
	if !ok {
		return nil, false
	}
	return c.Value, true
}

func (w *rewriter) invoke(at ast.Node, name string, args ...ast.Node) ast.Node {
	n := &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: append([]ast.Node{&ast.IdentifierNode{Value: "@run"}}, args...)}
	n.SetLocation(at.Location())
	n.SetType(resultType)
	return n
}

// invoked takes apart what invoke made.
func invoked(n ast.Node) (name string, args []ast.Node) {
	c, ok := n.(*ast.CallNode)
	if !ok {
		return "", nil
	}
	return c.Callee.(*ast.IdentifierNode).Value, c.Arguments[1:]
}

func (w *rewriter) node(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(nil)
	case *ast.BoolNode:
		return constant(n.Value)
	case *ast.IntegerNode:
		return constant(n.Value)
	case *ast.FloatNode:
		return constant(n.Value)
	case *ast.StringNode:
		return constant(n.Value)
	case *ast.BytesNode:
		return constant(n.Value)
	case *ast.IdentifierNode:
		return w.identifier(n)
	case *ast.PointerNode:
		return w.pointer(n)
	case *ast.UnaryNode:
		return w.unary(n)
	case *ast.BinaryNode:
		return w.binary(n)
	case *ast.ChainNode, *ast.MemberNode:
		return w.member(n, false)
	case *ast.SliceNode:
		return w.slice(n)
	case *ast.CallNode:
		return w.call(n)
	case *ast.BuiltinNode:
		return w.builtin(n)
	case *ast.VariableDeclaratorNode:
		return w.declaration(n)
	case *ast.ConditionalNode:
		return w.conditional(n)
	case *ast.ArrayNode:
		return w.array(n)
	case *ast.MapNode:
		return w.mapping(n)
	}
	return n
}

func (w *rewriter) nodes(in []ast.Node) []ast.Node {
	out := make([]ast.Node, len(in))
	for i, n := range in {
		out[i] = w.node(n)
	}
	return out
}

// fold reports what a constant operation gives; its failure is a problem, since it always fails.
func (w *rewriter) fold(at ast.Node, v any, err error) (ast.Node, bool) {
	if err == nil {
		return constant(v), true
	}
	if !w.quiet {
		w.problems = append(w.problems, Problem{From: at.Location().From, To: at.Location().To, Code: "always-fails", Message: err.Error()})
	}
	return nil, false
}

func allConstant(nodes []ast.Node) ([]any, bool) {
	out := make([]any, len(nodes))
	for i, n := range nodes {
		x, ok := constantOf(n)
		if !ok {
			return nil, false
		}
		out[i] = x
	}
	return out, true
}

// variables are the names that @var reads, with their numbers.
var variables = []string{"raw", "meta", "tmp", "key", "topic", "id", "time", "source", "attempt", "error", "n", "it"}

func (w *rewriter) identifier(n *ast.IdentifierNode) ast.Node {
	switch {
	case w.letBound(n.Value):
		return w.letVariable(n)
	case n.Value == "body":
		return w.slot(n, "@slot", document.Root)
	case n.Value == "vars":
		return constant(plainOr(w.scope.Vars))
	case n.Value == "delete":
		return constant(value.Delete().Box())
	case n.Value == "keep":
		return constant(value.Keep().Box())
	}
	return w.invoke(n, "@var", constant(slices.Index(variables, n.Value)))
}

func (w *rewriter) letBound(name string) bool {
	return slices.Contains(w.lets, name) || w.parent != nil && w.parent.letBound(name)
}

func (w *rewriter) letVariable(n *ast.IdentifierNode) ast.Node {
	if !slices.Contains(w.lets, n.Value) {
		return w.capture(n)
	}
	out := &ast.IdentifierNode{Value: n.Value}
	out.SetLocation(n.Location())
	out.SetType(resultType)
	return out
}

func (w *rewriter) pointer(n *ast.PointerNode) ast.Node {
	if w.inside == 0 && w.parent != nil {
		return w.capture(n)
	}
	out := &ast.PointerNode{Name: n.Name}
	out.SetLocation(n.Location())
	out.SetType(resultType)
	return out
}

// capture hands a value of the surrounding program into a part of try.
func (w *rewriter) capture(n ast.Node) ast.Node {
	w.captured = append(w.captured, n)
	return w.invoke(n, "@captured", constant(len(w.captured)-1))
}

func (w *rewriter) slot(n ast.Node, call string, slots ...document.Slot) ast.Node {
	args := make([]ast.Node, len(slots))
	for i, s := range slots {
		args[i] = constant(s)
	}
	return w.invoke(n, call, args...)
}

func (w *rewriter) unary(n *ast.UnaryNode) ast.Node {
	s := &site{src: w.src, node: n, left: n.Node}
	switch n.Operator {
	case "-":
		s.op = opNegate
	case "+":
		s.op = opPlus
	default:
		s.op = opNot
	}
	x := w.node(n.Node)
	if c, ok := constantOf(x); ok {
		if folded, ok := w.folded(n)((&run{}).unary(s, c)); ok {
			return folded
		}
	}
	return w.invoke(n, "@unary", constant(s), x)
}

func (w *rewriter) folded(at ast.Node) func(any, error) (ast.Node, bool) {
	return func(v any, err error) (ast.Node, bool) { return w.fold(at, v, err) }
}

func (w *rewriter) binary(n *ast.BinaryNode) ast.Node {
	switch n.Operator {
	case "and", "&&":
		return w.both(n, "and", opAnd)
	case "or", "||":
		return w.both(n, "or", opOr)
	case "??":
		return w.coalesce(n)
	}
	s := &site{src: w.src, op: binaryOperators[n.Operator], node: n, left: n.Left, right: n.Right}
	l, r := w.node(n.Left), w.node(n.Right)
	if s.op == opMatches {
		if p, ok := isConstantText(n.Right); ok {
			s.pattern, _ = regexp.Compile(p)
		}
	}
	rc, rightConstant := constantOf(r)
	if lc, ok := constantOf(l); ok && rightConstant {
		if folded, ok := w.folded(n)(newRun().binary(s, lc, rc)); ok {
			return folded
		}
	}
	if s.op == opIn && rightConstant {
		s.set = stringSet(rc)
	}
	return w.invoke(n, "@binary", constant(s), l, r)
}

// stringSet makes a set of a constant list of strings; nil when it is anything else.
func stringSet(x any) map[string]struct{} {
	list, ok := x.([]any)
	if !ok {
		return nil
	}
	set := make(map[string]struct{}, len(list))
	for _, x := range list {
		if text, ok := x.(string); ok {
			set[text] = struct{}{}
		}
	}
	return set
}

func (w *rewriter) both(n *ast.BinaryNode, operator string, op operator) ast.Node {
	out := &ast.BinaryNode{Operator: operator, Left: w.condition(n, n.Left, op), Right: w.condition(n, n.Right, op)}
	out.SetLocation(n.Location())
	out.SetType(resultType)
	return out
}

// condition makes an operand that must be a bool; what is known to be one needs no check.
func (w *rewriter) condition(whole, operand ast.Node, op operator) ast.Node {
	x := w.node(operand)
	if isBool(x) {
		return x
	}
	return w.invoke(operand, "@bool", constant(&site{src: w.src, op: op, node: whole, left: operand}), x)
}

func isBool(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ConstantNode:
		_, ok := n.Value.(bool)
		return ok
	case *ast.BinaryNode:
		return n.Operator != "??"
	case *ast.BuiltinNode:
		return slices.Contains([]string{"any", "all", "none", "one"}, n.Name)
	}
	switch name, args := invoked(n); name {
	case "@bool", "@predicate":
		return true
	case "@unary", "@binary":
		op := args[0].(*ast.ConstantNode).Value.(*site).op
		return op == opNot || op.isBool()
	}
	return false
}

// coalesce reads its left side leniently: a path that breaks off gives nil there.
func (w *rewriter) coalesce(n *ast.BinaryNode) ast.Node {
	l := w.member(n.Left, true)
	if c, ok := constantOf(l); ok {
		if c != nil {
			return l
		}
		return w.node(n.Right)
	}
	out := &ast.BinaryNode{Operator: "??", Left: l, Right: w.node(n.Right)}
	out.SetLocation(n.Location())
	out.SetType(resultType)
	return out
}

func (w *rewriter) conditional(n *ast.ConditionalNode) ast.Node {
	out := &ast.ConditionalNode{Ternary: n.Ternary, Cond: w.condition(n, n.Cond, opAnd), Exp1: w.node(n.Exp1), Exp2: w.node(n.Exp2)}
	out.SetLocation(n.Location())
	out.SetType(resultType)
	return out
}

func (w *rewriter) declaration(n *ast.VariableDeclaratorNode) ast.Node {
	x := w.node(n.Value)
	w.lets = append(w.lets, n.Name)
	out := &ast.VariableDeclaratorNode{Name: n.Name, Value: x, Expr: w.node(n.Expr)}
	w.lets = w.lets[:len(w.lets)-1]
	out.SetLocation(n.Location())
	out.SetType(resultType)
	return out
}

func (w *rewriter) array(n *ast.ArrayNode) ast.Node {
	nodes := w.nodes(n.Nodes)
	if list, ok := allConstant(nodes); ok && !slices.ContainsFunc(list, isMarker) {
		return constant(list)
	}
	out := &ast.ArrayNode{Nodes: nodes}
	out.SetType(resultType)
	return out
}

func isMarker(x any) bool {
	_, ok := x.(value.Marker)
	return ok
}

func (w *rewriter) mapping(n *ast.MapNode) ast.Node {
	out := &ast.MapNode{}
	out.SetType(resultType)
	folded := make(map[string]any, len(n.Pairs))
	for _, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		key, v := w.node(pair.Key), w.node(pair.Value)
		text, isText := isConstantText(key)
		x, isConstant := constantOf(v)
		if isText && isConstant && folded != nil {
			folded[text] = x
		} else {
			folded = nil
		}
		if !isText {
			key = w.invoke(pair.Key, "@key", constant(&site{src: w.src, node: n, left: pair.Key}), key)
		}
		out.Pairs = append(out.Pairs, &ast.PairNode{Key: key, Value: v})
	}
	if folded != nil {
		return constant(folded)
	}
	return out
}
