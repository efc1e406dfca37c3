package expression

import (
	"errors"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
)

// code is a rewritten tree, compiled for expr's machine.
type code struct {
	node    ast.Node
	program *vm.Program
	err     error // of the compiler: ours, not the user's
}

func compileNode(n ast.Node) *code {
	config := *machineConfig
	config.WithEnv(machineEnv)
	c := &code{node: n}
	c.program, c.err = compiler.Compile(&parser.Tree{Node: n, Source: file.NewSource("")}, &config)
	return c
}

var machineEnv = map[string]any{"@run": (*run)(nil)}

// machineConfig has the functions of a rewritten tree. The compiler only reads them: all expressions share them.
var machineConfig = func() *conf.Config {
	config := conf.CreateNew()
	config.Optimize = false
	for name, f := range machineCalls {
		config.Functions[name] = &builtin.Function{Name: name, Func: f}
	}
	return config
}()

// run evaluates c on the machine of the current depth.
func (c *code) run(r *run) (any, error) {
	if c.err != nil {
		return nil, flow.Errorf(flow.Permanent, flow.CodeExpression, "compile: %w", c.err)
	}
	if r.depth == len(r.machines) {
		r.machines = append(r.machines, &vm.VM{MemoryBudget: maxSteps})
	}
	m := r.machines[r.depth]
	r.depth++
	x, err := m.Run(c.program, r.env)
	r.depth--
	if err == nil {
		return x, nil
	}
	var e *flow.Error
	if errors.As(err, &e) {
		return nil, e
	}
	var fe *file.Error
	if errors.As(err, &fe) {
		return nil, flow.Errorf(flow.Permanent, flow.CodeExpression, "%s", fe.Message)
	}
	return nil, flow.Errorf(flow.Permanent, flow.CodeExpression, "%w", err)
}

type machineCall = func(args ...any) (any, error)

// machineCalls are what a rewritten tree calls. The first argument is the run, the second mostly the site.
var machineCalls = map[string]machineCall{
	"@var":      func(a ...any) (any, error) { return a[0].(*run).variable(a[1].(int)), nil },
	"@slot":     func(a ...any) (any, error) { return a[0].(*run).slot(a[1].(document.Slot)) },
	"@lookup":   func(a ...any) (any, error) { return a[0].(*run).lookup(a[1].(document.Slot)) },
	"@guarded":  callGuarded,
	"@meta":     func(a ...any) (any, error) { return a[0].(*run).meta(a[1].(string)), nil },
	"@source":   func(a ...any) (any, error) { return a[0].(*run).source(a[1].(string)), nil },
	"@get":      func(a ...any) (any, error) { return a[0].(*run).get(a[1].(*site), a[2], a[3]) },
	"@optional": callOptional,
	"@end":      callEnd,
	"@slice":    func(a ...any) (any, error) { return a[0].(*run).slice(a[1].(*site), a[2], a[3], a[4]) },
	"@unary":    func(a ...any) (any, error) { return a[0].(*run).unary(a[1].(*site), a[2]) },
	"@binary":   func(a ...any) (any, error) { return a[0].(*run).binary(a[1].(*site), a[2], a[3]) },
	"@bool":     func(a ...any) (any, error) { return a[1].(*site).mustBool(a[2]) },
	"@key":      callKey,
	"@list":     callList,
	"@step":     func(a ...any) (any, error) { return a[1], a[0].(*run).spend(1) },
	"@predicate": func(a ...any) (any, error) {
		if err := a[0].(*run).spend(1); err != nil {
			return nil, a[1].(*site).because(err)
		}
		return a[1].(*site).mustBool(a[2])
	},
	"@call":     func(a ...any) (any, error) { return a[0].(*run).invoke(a[1].(*site), a[2:]) },
	"@try":      callTry,
	"@captured": func(a ...any) (any, error) { return a[0].(*run).captured[a[1].(int)], nil },
}

func callGuarded(a ...any) (any, error) {
	slots := make([]document.Slot, len(a)-1)
	for i := range slots {
		slots[i] = a[i+1].(document.Slot)
	}
	v, err := a[0].(*run).guarded(slots)
	if err != nil {
		return nil, readError(err)
	}
	return v.Box(), nil
}

func callOptional(a ...any) (any, error) {
	if a[2] == nil {
		return missing{}, nil
	}
	return a[0].(*run).get(a[1].(*site), a[2], a[3])
}

func callEnd(a ...any) (any, error) {
	if a[1] == (missing{}) {
		return nil, nil
	}
	return a[1], nil
}

func callKey(a ...any) (any, error) {
	s := a[1].(*site)
	if key, ok := a[2].(string); ok {
		return key, nil
	}
	return nil, s.fail("the keys of a map are strings, not %s,", article(kindName(a[2])))
}

// callList checks what a predicate loops over.
func callList(a ...any) (any, error) {
	s := a[1].(*site)
	switch list := a[2].(type) {
	case nil:
		return nil, s.fail("%s is nil; write (%s ?? [])", s.piece(s.left), s.piece(s.left))
	case []any:
		if len(list) > maxElements {
			return nil, s.fail("%s has %d elements; %d are allowed", s.piece(s.left), len(list), maxElements)
		}
		return list, nil
	}
	return nil, s.fail("%s is %s and no list", s.piece(s.left), article(kindName(a[2])))
}

func (s *site) mustBool(x any) (any, error) {
	if _, ok := x.(bool); ok {
		return x, nil
	}
	if x == nil {
		return nil, s.fail("%s is nil; write (%s ?? false)", s.piece(s.left), s.piece(s.left))
	}
	return nil, s.fail("%s is %s, and must be true or false,", s.piece(s.left), article(kindName(x)))
}

// invoke calls a function of the language.
func (r *run) invoke(s *site, args []any) (any, error) {
	if !s.fn.NilOK {
		for i, a := range args {
			if a == nil {
				arg := s.args[min(i, len(s.args)-1)]
				name := s.piece(arg)
				if _, literal := arg.(*ast.NilNode); literal {
					return nil, s.fail("%s does not take nil; a value that may be missing gets a default with ??,", s.fn.Name)
				}
				return nil, s.fail("%s is nil; give a default with ??,", name)
			}
		}
	}
	r.call.site = s
	x, err := s.fn.call(&r.call, args)
	if err != nil {
		return nil, s.because(err)
	}
	return x, nil
}

func callTry(a ...any) (any, error) {
	r, t := a[0].(*run), a[1].(*site).try
	outer := r.captured
	r.captured = a[2:]
	defer func() { r.captured = outer }()
	x, err := t.part.run(r)
	if err == nil || errors.Is(err, errBudget) {
		return x, err
	}
	return t.fallback.run(r)
}
