package expression

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
)

// parse turns the text into a checked tree, as written. With problems the tree is nil.
func parse(text string, s *Scope, w Want) (*parser.Tree, []Problem) {
	if problems := fence(text); len(problems) > 0 {
		return nil, problems
	}
	if strings.TrimSpace(text) == "" {
		return nil, []Problem{{Code: "expression-syntax", Message: "the expression is empty"}}
	}
	config := checkerConfig(s, w)
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, []Problem{syntaxProblem(text, err)}
	}
	if visits(tree.Node, maxVisits) >= maxVisits {
		return nil, []Problem{{Code: "expression-too-large", Message: "chained comparisons inside each other unfold without end",
			Hint: "write a < b and b < c"}}
	}
	bindIt(&tree.Node, false)
	scan := newScanner(text, s, w)
	scan.whole(tree.Node)
	if holdsSecret(s.Vars) {
		scan.secrets(tree.Node, s.Header)
	}
	if len(scan.problems) > 0 {
		return nil, scan.problems
	}
	if _, err := checker.Check(tree, config); err != nil {
		return nil, []Problem{typeProblem(text, tree.Node, err)}
	}
	problems := append(likelyProblems(text, tree.Node), narrowProblems(text, tree.Node)...)
	if problems = append(problems, layoutProblems(text, tree.Node)...); len(problems) > 0 {
		return nil, problems
	}
	if p, bad := wantProblem(tree.Node, w); bad {
		return nil, []Problem{p}
	}
	return tree, nil
}

// checkerConfig is the typed environment. Nothing in it is ever evaluated: it is for the checker alone.
func checkerConfig(s *Scope, w Want) *conf.Config {
	config := &conf.Config{
		ShortCircuit: true, MaxNodes: maxNodes,
		Functions: callable.Functions, Builtins: callable.Builtins, Disabled: callable.Disabled,
	}
	env := types.Map{}
	if !s.NoMessage {
		for name, t := range messageNames {
			env[name] = t
		}
		env["body"] = s.Body.known()
	}
	vars := types.Map{}
	for name, x := range s.Vars {
		vars[name] = varType(x)
	}
	env["vars"] = vars
	if s.Counter {
		env["n"] = types.Int
	}
	if s.It {
		env["it"] = s.Element.known()
	}
	if w == WantAssign {
		env["delete"], env["keep"] = types.Any, types.Any
	}
	config.WithEnv(env)
	return config
}

// callable has the functions the checker knows. Parser and checker only read it: all expressions share it.
var callable = func() *conf.Config {
	config := conf.CreateNew()
	for _, b := range builtin.Builtins {
		if !b.Predicate {
			config.Disabled[b.Name] = true
			delete(config.Builtins, b.Name)
		}
	}
	for _, f := range functions.list {
		config.Functions[f.Name] = f.kept
	}
	return config
}()

func varType(x any) types.Type {
	if m, ok := x.(map[string]any); ok {
		t := types.Map{}
		for k, v := range m {
			t[k] = varType(v)
		}
		return t
	}
	if isSecret(x) {
		return types.String
	}
	if x == nil {
		return types.Any
	}
	return types.TypeOf(x)
}

// messageNames are what a message shows, with the types that the checker may rely on.
var messageNames = map[string]types.Type{
	"body":    types.Any,
	"raw":     types.TypeOf([]byte(nil)),
	"meta":    types.Map{types.Extra: types.String},
	"tmp":     types.TypeOf(map[string]any(nil)),
	"key":     types.String,
	"topic":   types.String,
	"id":      types.String,
	"time":    types.TypeOf(time.Time{}),
	"attempt": types.Int,
	"source": types.Map{"name": types.String, "connector": types.String, "partition": types.Int, "offset": types.Int,
		"redelivered": types.Bool, "headers": types.TypeOf([]any(nil)), types.Extra: types.Any},
	"error": types.Map{"class": types.String, "code": types.String, "message": types.String, "node": types.String},
}

func syntaxProblem(text string, err error) Problem {
	p := Problem{Code: "expression-syntax", Message: err.Error()}
	var fe *file.Error
	if errors.As(err, &fe) {
		p.Message = fe.Message
		p.From, p.To = within(text, fe.From, fe.To)
	}
	switch {
	case strings.Contains(p.Message, "exceeds maximum allowed nodes"):
		p.Code, p.Message = "expression-too-large", fmt.Sprintf("the expression has more than %d parts", maxNodes)
	case strings.HasPrefix(p.Message, "unexpected token EOF"), strings.HasPrefix(p.Message, "unexpected end"):
		p.endsEarly(text)
	case strings.Contains(p.Message, "coalesce expressions"):
		p.Message, p.Hint = "?? and another operator need parentheses", "write (a ?? b) > c"
	case p.Message == "literal not terminated":
		p.Message, p.Hint = "the text in quotes has no end", "close the quote"
	case p.Message == "expected name":
		if dot := lastDot([]rune(text)[:p.From]); dot >= 0 {
			p.From, p.To = dot, dot+1
		}
		p.Message, p.Hint = "a name must follow the dot", `write body.name; other names go into brackets: body["a b"]`
	case strings.HasPrefix(p.Message, "unexpected token "):
		p.unexpected(text)
	}
	return p
}

func lastDot(text []rune) int {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '.' {
			return i
		}
	}
	return -1
}

// within keeps a position inside the text and never empty.
func within(text string, from, to int) (int, int) {
	n := len([]rune(text))
	from = max(0, min(from, n-1))
	return from, max(from+1, min(to, n))
}

// shortest is how long a name must be at least for another one to be taken for it, where other names may be there.
const shortest = 4

// likelyProblems are reads of fields that nearly have the name of one that is known.
func likelyProblems(text string, n ast.Node) (problems []Problem) {
	misspelled(n, func(property ast.Node, name string, fields []string) {
		near := nearest(name, fields)
		if len(near) < shortest {
			return
		}
		from, to := within(text, property.Location().From, property.Location().To)
		problems = append(problems, Problem{From: from, To: to, Code: "unknown-field", Message: fmt.Sprintf("unknown field %q", name),
			Hint: fmt.Sprintf("did you mean %q? If not, declare it in the schema", near)})
	})
	return problems
}

func typeProblem(text string, tree ast.Node, err error) Problem {
	p := Problem{Code: "type-mismatch", Message: err.Error()}
	var fe *file.Error
	if errors.As(err, &fe) {
		p.Message = fe.Message
		p.From, p.To = within(text, fe.From, fe.To)
	}
	p.Message = strings.TrimSpace(cleanTypes.Replace(p.Message))
	operator := nilOperand(tree, fe)
	switch {
	case operator == "in":
		p.Message, p.Hint = "nothing is in nil", `a list that may be missing gets a default: body.a in (body.list ?? [])`
	case operator != "":
		p.Message, p.Hint = operator+" does not take nil", "nil goes with ==, != and ?? alone; a value that may be missing gets a default: (body.a ?? 0)"
	case strings.Contains(p.Message, "argument") && callAt(tree, fe) != nil && !strings.Contains(p.Message, "use nil as argument"):
		call := callAt(tree, fe)
		return functionOf(call).arguments(text, call)
	case strings.Contains(p.Message, "use nil as argument"):
		p.Code, p.Hint = "wrong-arguments", "a value that may be missing gets a default: (body.a ?? \"\")"
	case strings.HasPrefix(p.Message, "unknown field"):
		p.Code = "unknown-field"
		p.Message, p.Hint = unknownField(p.Message, memberAt(tree, fe.From))
	case strings.Contains(p.Message, "argument"):
		p.Code = "wrong-arguments"
	case strings.HasPrefix(p.Message, "cannot redeclare"):
		p.Code, p.Message = "reserved-name", "the name "+p.Message[strings.LastIndexByte(p.Message, ' ')+1:]+" is taken"
	case strings.HasPrefix(p.Message, "error parsing regexp"):
		p.Code = "bad-pattern"
	case strings.Contains(p.Message, "mismatched types string and int"), strings.Contains(p.Message, "mismatched types string and float"):
		p.Hint = "text becomes a number with int(x) or float(x)"
	}
	return p
}

// nilOperand is the operator at an error's place when nil is written beside it.
func nilOperand(tree ast.Node, at *file.Error) string {
	found := ""
	var look func(n ast.Node)
	look = func(n ast.Node) {
		var operator string
		var operands []ast.Node
		switch n := n.(type) {
		case *ast.BinaryNode:
			operator, operands = n.Operator, []ast.Node{n.Left, n.Right}
		case *ast.UnaryNode:
			operator, operands = n.Operator, []ast.Node{n.Node}
		}
		for _, o := range operands {
			if _, isNil := o.(*ast.NilNode); isNil && at != nil && n.Location().From == at.From {
				found = operator
			}
		}
		for _, c := range children(n) {
			look(*c)
		}
	}
	look(tree)
	return found
}

// unknownField says which field was meant, where the fields are known.
func unknownField(message string, m *ast.MemberNode) (text, hint string) {
	if m == nil || m.Node.Nature() == nil || m.Node.Nature().TypeData == nil {
		return message, ""
	}
	name, _ := isConstantText(m.Property)
	fields := fieldNames(m.Node.Nature())
	if near := nearest(name, fields); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(fields) > 0 && len(fields) <= 20 {
		hint = "known here: " + strings.Join(fields, ", ")
	}
	return fmt.Sprintf("unknown field %q", name), hint
}

// cleanTypes puts our words in place of Go's.
var cleanTypes = strings.NewReplacer("map[string]interface {}", "map", "[]interface {}", "list", "interface {}", "any", "[]uint8", "bytes",
	"float64", "float", "time.Time", "time", "time.Duration", "duration", "map[string]string", "map", "invalid operation: ", "cannot apply ",
	"builtin ", "")

// wantProblem compares the type that is known with what the place takes.
func wantProblem(n ast.Node, w Want) (Problem, bool) {
	t := n.Type()
	k := t.Kind()
	isNil := n.Nature().Nil
	switch {
	case k == reflect.Interface && !isNil:
		return Problem{}, false
	case w == WantBool && (isNil || k != reflect.Bool):
		return Problem{Code: "not-bool", Message: "this is " + typeWord(t, isNil) + ", and a condition must be true or false"}, true
	case w == WantList && (isNil || k != reflect.Slice || typeName(t) != "list"):
		return Problem{Code: "not-list", Message: "this is " + typeWord(t, isNil) + ", and a list is wanted"}, true
	case w == WantText && (isNil || k == reflect.Map || typeName(t) == "list" || typeName(t) == "bytes"):
		return Problem{Code: "not-text", Message: "this is " + typeWord(t, isNil) + ", and text is wanted",
			Hint: "toJSON(x) and join(x, \",\") make text"}, true
	}
	return Problem{}, false
}

func typeWord(t reflect.Type, isNil bool) string {
	if isNil {
		return "nil"
	}
	return article(typeName(t))
}
