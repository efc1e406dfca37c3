package expression

import (
	"errors"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	text     string
	scope    *Scope
	want     Want
	code     *code       // nil where there is a closure
	closure  closure     // nil: the machine runs code
	quick    quick       // nil: no quick test
	literal  *mapLiteral // nil: no map literal
	constant bool
	value    value.Value // when constant
	slot     document.Slot
	isPath   bool
	shape    *Shape
}

// Compile checks and compiles an expression. A nil Program comes with at least one Problem. The body paths that the expression reads
// are declared in s.Paths, which must not be frozen yet. s is kept and must not change afterwards.
func Compile(text string, s *Scope, w Want) (*Program, []Problem) {
	tree, problems := parse(text, s, w)
	if len(problems) > 0 {
		if s.TableRead != nil && strings.Contains(text, "lookup") {
			s.TableRead("") // what it was to read is not known
		}
		return nil, sorted(problems)
	}
	shape := shapeOf(tree.Node)
	r := &rewriter{src: []rune(text), scope: s}
	n := r.node(tree.Node)
	if len(r.problems) > 0 {
		return nil, sorted(r.problems)
	}
	p := &Program{text: text, scope: s, want: w, shape: shape}
	if x, ok := constantOf(n); ok {
		v, err := value.FromAny(x)
		if err != nil {
			return nil, []Problem{{Code: "always-fails", Message: err.Error()}}
		}
		p.constant, p.value = true, v
		if problem, bad := p.constantProblem(); bad {
			return nil, []Problem{problem}
		}
	}
	p.findPath(n)
	p.closure, p.literal = closureOf(n), literalOf(n)
	if p.closure == nil {
		p.code = compileNode(n)
	}
	if w == WantBool {
		p.quick = quickOf(n)
	}
	return p, nil
}

func (p *Program) constantProblem() (Problem, bool) {
	if p.want == WantBool {
		return Problem{Code: "constant-condition", Message: "the condition is always " + p.text,
			Hint: "leave the node out, or compare something of the message"}, true
	}
	if err := p.suits(p.value); err != nil {
		return Problem{Code: "always-fails", Message: err.Error()}, true
	}
	return Problem{}, false
}

func (p *Program) findPath(n ast.Node) {
	if name, args := invoked(n); name == "@slot" {
		x, _ := constantOf(args[0])
		p.slot, p.isPath = x.(document.Slot)
	}
}

func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int { return a.From - b.From })
	return slices.Compact(problems)
}

// Shape is what is known of the result, from what the scope knows; nil knows nothing.
func (p *Program) Shape() *Shape { return p.shape }

// Text is the expression as written.
func (p *Program) Text() string { return p.text }

// Constant gives the value of an expression that reads nothing.
func (p *Program) Constant() (value.Value, bool) { return p.value, p.constant }

// Path gives the slot of an expression that is a plain body path and nothing else: its bytes can be copied as they are.
func (p *Program) Path() (document.Slot, bool) { return p.slot, p.isPath }

// Eval evaluates p for m. Strings of the result may alias the message's batch. Errors are *flow.Error: permanent, with the code
// expression, decode (the body is broken) or failed (by fail). With WantAssign the result may be the markers delete and keep.
func (p *Program) Eval(m *flow.Message) (value.Value, error) { return p.EvalWith(m, Bindings{}) }

// EvalWith is Eval with the values that do not come from the message.
func (p *Program) EvalWith(m *flow.Message, b Bindings) (value.Value, error) {
	if p.constant {
		return p.value, nil
	}
	r := startRun(p.scope, m, b)
	v, err := p.evaluate(r)
	r.end()
	if err == nil && (p.want != WantAny || v.Kind() >= value.KindList) {
		err = p.judge(v)
	}
	if err != nil {
		return value.Value{}, p.wrap(err)
	}
	return v, nil
}

// evaluate gives the value by the closure, or by the machine where there is none.
func (p *Program) evaluate(r *run) (value.Value, error) {
	if p.closure != nil {
		return p.closure(r)
	}
	return boxed(p.code.run(r))
}

// judge refuses results that are too large or not what the place wants.
func (p *Program) judge(v value.Value) error {
	if k := v.Kind(); (k == value.KindList || k == value.KindMap) && !p.isPath && weigh(v.Box(), maxResult) >= maxResult {
		return tooLarge()
	}
	return p.suits(v)
}

// Test evaluates a WantBool expression. A result that is no bool is an error, never false.
func (p *Program) Test(m *flow.Message) (bool, error) {
	if p.quick != nil {
		if a := p.quick(m); a != unsure {
			return a == yes, nil
		}
	}
	v, err := p.Eval(m)
	if err != nil {
		return false, err
	}
	if v.Kind() != value.KindBool {
		return false, p.wrap(wrongKind(v, "must be true or false"))
	}
	return v.Bool(), nil
}

// suits checks a value against what the place wants.
func (p *Program) suits(v value.Value) error {
	k := v.Kind()
	switch {
	case p.want == WantBool && k != value.KindBool:
		return wrongKind(v, "must be true or false")
	case p.want == WantList && k != value.KindList:
		return wrongKind(v, "must be a list")
	case p.want == WantText && (k == value.KindNil || k == value.KindList || k == value.KindMap || k == value.KindBytes):
		return wrongKind(v, "must be text")
	}
	return nil
}

func wrongKind(v value.Value, must string) error {
	return errors.New("the result is " + article(v.Kind().String()) + " and " + must)
}

// wrap makes a *flow.Error of what is none yet, and quotes the expression.
func (p *Program) wrap(err error) error {
	var e *flow.Error
	if errors.As(err, &e) {
		return e
	}
	return flow.Errorf(flow.Permanent, flow.CodeExpression, "%w in %q", err, p.text)
}
