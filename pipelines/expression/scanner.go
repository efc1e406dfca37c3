package expression

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// scanner walks the tree as parsed and finds what expr's checker does not look for, or cannot say well: all of it, not the first.
type scanner struct {
	src      []rune
	scope    *Scope
	want     Want
	names    []string // what an identifier may be
	lets     []string
	loops    int
	problems []Problem
}

func newScanner(text string, s *Scope, w Want) *scanner {
	v := &scanner{src: []rune(text), scope: s, want: w, names: []string{"vars"}}
	if !s.NoMessage {
		for name := range messageNames {
			v.names = append(v.names, name)
		}
	}
	if s.Counter {
		v.names = append(v.names, "n")
	}
	if s.It {
		v.names = append(v.names, "it")
	}
	slices.Sort(v.names)
	return v
}

func (v *scanner) add(n ast.Node, code, message, hint string) {
	from, to := within(string(v.src), n.Location().From, n.Location().To)
	v.problems = append(v.problems, Problem{From: from, To: to, Code: code, Message: message, Hint: hint})
}

// visit looks at n; tail says that n stands where delete and keep may stand.
func (v *scanner) visit(n ast.Node, tail bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		v.identifier(n, tail)
		return
	case *ast.ConditionalNode:
		v.visit(n.Cond, false)
		v.operand(n.Exp1, tail)
		v.operand(n.Exp2, tail)
		return
	case *ast.BinaryNode:
		v.binary(n, tail)
		return
	case *ast.VariableDeclaratorNode:
		v.declaration(n, tail)
		return
	case *ast.SequenceNode:
		v.add(n, "expression-syntax", "; separates nothing here", "an expression gives one value; ; belongs after let x = …")
		return
	case *ast.CallNode:
		v.call(n)
		return
	case *ast.MemberNode:
		v.member(n)
		return
	case *ast.PredicateNode:
		v.predicate(n)
		return
	case *ast.BuiltinNode:
		if !slices.Contains(predicates, n.Name) {
			v.add(n, "unknown-function", fmt.Sprintf("unknown function %q", n.Name), "")
		}
	}
	for _, c := range children(n) {
		v.visit(*c, false)
	}
}

// predicates are the builtins that take an expression about it.
var predicates = []string{"all", "any", "count", "filter", "find", "findIndex", "findLast", "findLastIndex", "groupBy", "map", "none", "one",
	"reduce", "sortBy", "sum"}

func (v *scanner) predicate(n *ast.PredicateNode) {
	v.loops++
	if v.loops == maxLoops+1 {
		v.add(n, "loops-too-deep", fmt.Sprintf("predicates nest deeper than %d", maxLoops), "make the inner list in a line of its own, through tmp")
	}
	v.visit(n.Node, false)
	v.loops--
}

func (v *scanner) declaration(n *ast.VariableDeclaratorNode, tail bool) {
	v.visit(n.Value, false)
	if slices.Contains([]string{"it", "delete", "keep", "n", "true", "false", "nil"}, n.Name) || messageNames[n.Name] != nil {
		v.add(n, "reserved-name", fmt.Sprintf("the name %s is taken", n.Name), "choose another name for let")
	}
	v.lets = append(v.lets, n.Name)
	v.visit(n.Expr, tail)
	v.lets = v.lets[:len(v.lets)-1]
}

func (v *scanner) identifier(n *ast.IdentifierNode, tail bool) {
	name := n.Value
	switch {
	case slices.Contains(v.lets, name):
	case name == "delete" || name == "keep":
		v.marker(n, tail)
	case slices.Contains(v.names, name):
	case foreignWords[name] != "":
		v.add(n, "foreign-syntax", name+" does not exist here", "write "+foreignWords[name])
	case messageNames[name] != nil:
		v.add(n, "no-message", name+" does not exist here: there is no message yet", "")
	case name == "it":
		v.add(n, "unknown-name", "it stands only inside a predicate", "any(body.list, it > 1)")
	case functions.byName[name] != nil || slices.Contains(predicates, name):
		v.add(n, "function-without-call", name+" is a function", fmt.Sprintf("write %s(…)", name))
	default:
		v.unknown(n, "unknown-name", "name", v.names)
	}
}

var foreignWords = map[string]string{"null": "nil", "undefined": "nil", "None": "nil", "NULL": "nil", "Null": "nil", "Nil": "nil", "NIL": "nil", "True": "true", "False": "false",
	"TRUE": "true", "FALSE": "false", "AND": "and", "OR": "or", "NOT": "not", "this": "body", "$": "body", "$env": "the name itself",
	"msg": "body", "payload": "body", "headers": "meta", "value": "body", "message": "body", "header": "meta", "metadata": "meta", "$json": "body", "root": "body", "event": "body"}

func (v *scanner) unknown(n *ast.IdentifierNode, code, what string, names []string) {
	hint := ""
	if from := n.Location().From; from >= 2 && string(v.src[from-2:from]) == ".." {
		hint = "one dot leads to a field, as in body.x; a..b are the numbers from a to b"
	} else if near := nearest(n.Value, append(slices.Clone(v.lets), names...)); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	v.add(n, code, fmt.Sprintf("unknown %s %q", what, n.Value), hint)
}

func (v *scanner) marker(n *ast.IdentifierNode, tail bool) {
	switch {
	case v.want != WantAssign:
		v.add(n, "misplaced-"+n.Value, n.Value+" stands only as the value of a path of transform, not inside a map or list or elsewhere",
			"write it in a line of its own, such as body.field: "+n.Value)
	case !tail:
		v.add(n, "misplaced-"+n.Value, n.Value+" stands alone, or where an if, ?: or ?? ends", "body.x > 1 ? body.x : "+n.Value)
	}
}

func (v *scanner) call(n *ast.CallNode) {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		v.called(n, callee)
	case *ast.MemberNode:
		v.method(n, callee)
	default:
		v.add(n, "unknown-method", "only functions can be called", "")
	}
	for i, a := range n.Arguments {
		if i > 0 || !v.bareTable(n) {
			v.visit(a, false)
		}
	}
}

// bareTable finds the name of a table that stands without quotes.
func (v *scanner) bareTable(n *ast.CallNode) bool {
	callee, isName := n.Callee.(*ast.IdentifierNode)
	table, isWord := n.Arguments[0].(*ast.IdentifierNode)
	if !isName || callee.Value != "lookup" || !isWord || slices.Contains(v.lets, table.Value) || slices.Contains(v.names, table.Value) {
		return false
	}
	if v.scope.Lookup != nil {
		v.add(table, "bare-text", table.Value+" names nothing, and the name of a table is a text", fmt.Sprintf("write lookup(%q, …)", table.Value))
	}
	return true
}

func (v *scanner) called(n *ast.CallNode, callee *ast.IdentifierNode) {
	switch {
	case functions.byName[callee.Value] == nil:
		if like := foreignCalls[callee.Value]; like != "" {
			v.add(callee, "unknown-function", fmt.Sprintf("unknown function %q", callee.Value), "write "+like)
			return
		}
		v.unknown(callee, "unknown-function", "function", functionNames())
	case callee.Value == "captures" && len(n.Arguments) == 2:
		v.pattern(n.Arguments[1])
	case callee.Value == "lookup" && v.scope.Lookup == nil:
		v.add(callee, "unknown-table", "the file has no tables", "declare it under tables:")
	case callee.Value == "lookup" && len(n.Arguments) > 0:
		v.table(n.Arguments[0])
	}
}

// table checks the name of a table, and tells that it is read. Of a misspelled one it is the table that was meant.
func (v *scanner) table(n ast.Node) {
	name, constant := isConstantText(n)
	if constant && v.scope.Tables != nil && !slices.Contains(v.scope.Tables, name) {
		near, hint := nearest(name, v.scope.Tables), "tables: "+strings.Join(v.scope.Tables, ", ")
		if near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		v.add(n, "unknown-table", fmt.Sprintf("unknown table %q", name), hint)
		name = near
	}
	if v.scope.TableRead != nil {
		v.scope.TableRead(name)
	}
}

func functionNames() []string {
	out := slices.Clone(predicates)
	for _, f := range functions.list {
		out = append(out, f.Name)
	}
	return out
}

func (v *scanner) method(n *ast.CallNode, m *ast.MemberNode) {
	v.visit(m.Node, false)
	name, _ := isConstantText(m.Property)
	hint := "functions take their subject first: upper(body.name)"
	if like := foreignMethods[name]; like != "" {
		hint = "write " + like
	}
	v.add(m.Property, "unknown-method", fmt.Sprintf("there is no method %s()", name), hint)
}

var (
	foreignCalls = map[string]string{"length": "len(x)", "size": "len(x)", "count_if": "count(list, it > 1)", "substring": "s[0:3]",
		"substr": "s[0:3]", "parseFloat": "float(x)", "Number": "float(x)", "String": "string(x)", "str": "string(x)", "env": "vars.name, filled from ${NAME}",
		"getenv": "vars.name, filled from ${NAME}", "exists": "x != nil", "has": "x != nil", "coalesce": "a ?? b", "isNull": "x == nil", "format": "sprintf(format, …)",
		"concat_ws": "join(list, sep)", "timestamp": "now()", "contains": "s contains \"x\"", "startsWith": "s startsWith \"x\"", "endsWith": "s endsWith \"x\"",
		"matches": "s matches \"^x\"", "not": "not x", "json": "body.x, or parseJSON(s)", "content": "raw",
		"default": "a ?? b", "deleted": "delete", "meta": "meta[\"name\"]", "metadata": "meta[\"name\"]"}
	foreignMethods = map[string]string{"Unix": "unix(t)", "UnixMilli": "unixMilli(t)", "Format": "formatTime(t, layout)", "Add": "addTime(t, \"1h\")",
		"Sub": "t - u", "Before": "t < u", "After": "t > u", "Equal": "t == u", "Truncate": "truncateTime(t, \"1h\")", "String": "string(x)",
		"toString": "string(x)", "toUpperCase": "upper(s)", "toLowerCase": "lower(s)", "trim": "trim(s)", "split": "split(s, \",\")",
		"includes": "s contains \"x\", or x in list", "indexOf": "indexOf(s, \"x\")", "startsWith": "s startsWith \"x\"", "endsWith": "s endsWith \"x\"",
		"map": "map(list, it.x)", "filter": "filter(list, it.x > 1)", "some": "any(list, it.x > 1)", "every": "all(list, it.x > 1)",
		"length": "len(x)", "size": "len(x)", "Seconds": "float(d)", "Hours": "float(d) / 3600", "Minutes": "float(d) / 60",
		"Year": "int(formatTime(t, \"2006\"))", "Hour": "int(formatTime(t, \"15\"))"}
)

func (v *scanner) member(n *ast.MemberNode) {
	id, isRoot := n.Node.(*ast.IdentifierNode)
	name, isName := isConstantText(n.Property)
	if isRoot && isName && !slices.Contains(v.lets, id.Value) {
		v.field(n, id.Value, name)
	}
	if isRoot && id.Value == "body" && v.scope.Body == nil && !v.scope.Format.HasPaths() {
		v.add(n.Property, "path-into-text", "body is not a map here: its format has no paths", "parseJSON(body) reads JSON text; or decode: json")
	}
	if !isRoot && isName && name == "length" && v.dotted(n.Property) {
		v.add(n.Property, "foreign-syntax", ".length does not exist here", fmt.Sprintf("write len(%s); a field of that name is %s[\"length\"]", n.Node, n.Node))
	}
	v.visit(n.Node, false)
	if !isName {
		v.visit(n.Property, false)
	}
}

// dotted says that a property was written as .name, not ["name"].
func (v *scanner) dotted(p ast.Node) bool {
	at := p.Location().From
	return at < len(v.src) && isWord(v.src[at])
}

func (v *scanner) field(n *ast.MemberNode, base, name string) {
	var known []string
	switch base {
	case "vars":
		for k := range v.scope.Vars {
			known = append(known, k)
		}
	case "error":
		known = []string{"class", "code", "message", "node"}
	default:
		return
	}
	if slices.Contains(known, name) {
		return
	}
	slices.Sort(known)
	hint := ""
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", base+"."+near)
	} else if base == "vars" {
		hint = "declare it under vars:"
	}
	v.add(n.Property, "unknown-field", fmt.Sprintf("%s has no %q", base, name), hint)
}

func (v *scanner) binary(n *ast.BinaryNode, tail bool) {
	switch n.Operator {
	case "-":
		if v.dashed(n) {
			return
		}
	case "matches":
		v.pattern(n.Right)
	case "??":
		v.visit(n.Left, false)
		v.operand(n.Right, tail)
		return
	case "==", "!=", "<", ">", "<=", ">=", "in", "contains", "startsWith", "endsWith":
		v.operand(n.Left, false)
		v.operand(n.Right, false)
		return
	}
	v.visit(n.Left, false)
	v.visit(n.Right, false)
}

func (v *scanner) pattern(n ast.Node) {
	text, ok := isConstantText(n)
	switch {
	case !ok:
		v.add(n, "dynamic-pattern", "a pattern must be a literal", "it is compiled once, when the file is loaded")
	case len(text) > maxPattern:
		v.add(n, "bad-pattern", fmt.Sprintf("the pattern has %d bytes; %d are allowed", len(text), maxPattern), "")
	default:
		if _, err := regexp.Compile(text); err != nil {
			v.add(n, "bad-pattern", strings.TrimPrefix(err.Error(), "error parsing regexp: "), "RE2 syntax, without look-around and back references")
		}
	}
}

// dashed finds a name with a dash that was read as a subtraction: meta.user-id, written without spaces.
func (v *scanner) dashed(n *ast.BinaryNode) bool {
	base, words, first, ok := v.dashedName(n)
	if !ok {
		return false
	}
	right := n.Right.(*ast.IdentifierNode)
	isName := slices.Contains(v.names, right.Value)
	if base != "meta" && (slices.Contains(v.lets, right.Value) || isName && !neverSubtracted(right.Value)) {
		return false
	}
	full := strings.Join(words, "-")
	left := leftmost(n)
	path := left.Node.String()
	hint := fmt.Sprintf("write %s[%q]", path, full)
	if right.Value == "time" {
		hint += "; a subtraction has spaces around -"
	}
	v.problems = append(v.problems, Problem{From: first, To: right.Location().To, Code: "dash-in-name",
		Message: fmt.Sprintf("%s.%s is a subtraction", path, full), Hint: hint})
	return true
}

// neverSubtracted tells that a name of the message is no number, so that a dash before it is part of a name: body.device-id.
func neverSubtracted(name string) bool {
	_, ok := messageNames[name]
	return ok && name != "attempt"
}

func leftmost(n ast.Node) *ast.MemberNode {
	for {
		switch m := n.(type) {
		case *ast.BinaryNode:
			n = m.Left
		case *ast.ChainNode:
			n = m.Node
		case *ast.MemberNode:
			return m
		default:
			return nil
		}
	}
}

func (v *scanner) dashedName(n ast.Node) (base string, words []string, first int, ok bool) {
	switch n := n.(type) {
	case *ast.BinaryNode:
		right, isName := n.Right.(*ast.IdentifierNode)
		at := n.Location().From
		if n.Operator != "-" || !isName || right.Location().From != at+1 || at == 0 || !isWord(v.src[at-1]) {
			return "", nil, 0, false
		}
		base, words, first, ok = v.dashedName(n.Left)
		return base, append(words, right.Value), first, ok
	case *ast.MemberNode:
		base, ok = root(n)
		name, isName := isConstantText(n.Property)
		if !ok || !isName || slices.Contains(v.lets, base) || !slices.Contains([]string{"meta", "body", "tmp", "source", "vars"}, base) {
			return "", nil, 0, false
		}
		return base, []string{name}, v.start(n), true
	}
	return "", nil, 0, false
}

// start is where a chain of members begins.
func (v *scanner) start(n ast.Node) int {
	for {
		switch m := n.(type) {
		case *ast.ChainNode:
			n = m.Node
		case *ast.MemberNode:
			n = m.Node
		default:
			return n.Location().From
		}
	}
}
