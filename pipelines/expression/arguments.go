package expression

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// narrow is what a function takes whose signature says any, where a type that is known beforehand can be wrong.
var narrow = map[string][]string{
	"len":    {"string", "bytes", "list", "map"},
	"abs":    {"int", "float"},
	"int":    {"int", "float", "string"},
	"float":  {"int", "float", "string", "duration"},
	"mean":   {"int", "float", "list"},
	"median": {"int", "float", "list"},
}

// callAt is the call of a function that an error at a place is about: the call itself, or one of its arguments.
func callAt(tree ast.Node, at *file.Error) (found *ast.CallNode) {
	if at == nil {
		return nil
	}
	ast.Find(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallNode)
		if !ok || functionOf(call) == nil {
			return false
		}
		same := func(n ast.Node) bool { return n.Location().From == at.From }
		if same(call) || same(call.Callee) || slices.ContainsFunc(call.Arguments, same) {
			found = call
		}
		return false
	})
	return found
}

func functionOf(call *ast.CallNode) *Function {
	name, ok := call.Callee.(*ast.IdentifierNode)
	if !ok {
		return nil
	}
	return functions.byName[name.Value]
}

// arguments says what is wrong with a call, in view of the overload that comes nearest to it.
func (f *Function) arguments(text string, call *ast.CallNode) Problem {
	bad := -1
	for i := range f.overloads {
		bad = max(bad, f.overloads[i].misfit(call.Arguments))
	}
	p := Problem{Code: "wrong-arguments", Hint: "write " + strings.Join(f.Signature(), " or ")}
	if bad >= 0 && bad < len(call.Arguments) {
		arg := call.Arguments[bad]
		from, to := extent(arg, len([]rune(text)), 0)
		p.From, p.To = within(text, from, to)
		p.Message = fmt.Sprintf("argument %d of %s cannot be %s", bad+1, f.Name, typeWord(arg.Type(), arg.Nature().Nil))
		return p
	}
	p.From, p.To = within(text, call.Callee.Location().From, call.Callee.Location().To)
	p.Message = fmt.Sprintf("%s does not take %s", f.Name, count(len(call.Arguments)))
	return p
}

func count(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "one argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// misfit is the first argument that an overload does not take as far as its type is known, -1 when there are too few or too many.
func (o *overload) misfit(args []ast.Node) int {
	n := len(o.params)
	if len(args) < n && !(o.variadic && len(args) == n-1) || len(args) > n && !o.variadic {
		return -1
	}
	for i, a := range args {
		if !assignable(a, o.params[min(i, n-1)]) {
			return i
		}
	}
	return len(args)
}

func assignable(a ast.Node, p reflect.Type) bool {
	t := a.Type()
	switch {
	case a.Nature().Nil:
		return p.Kind() == reflect.Interface
	case t == nil || t.Kind() == reflect.Interface || p.Kind() == reflect.Interface:
		return true
	case p.Kind() == reflect.Float64 && t.Kind() == reflect.Int && t == intType:
		return true
	}
	return typeName(t) == typeName(p)
}

// narrowProblems are arguments of a known type that a function takes by its signature, and refuses whenever it is called.
func narrowProblems(text string, tree ast.Node) (problems []Problem) {
	ast.Find(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallNode)
		if !ok {
			return false
		}
		f := functionOf(call)
		if f == nil || narrow[f.Name] == nil {
			return false
		}
		for i, arg := range call.Arguments {
			t := arg.Type()
			if arg.Nature().Nil || t == nil || t.Kind() == reflect.Interface || slices.Contains(narrow[f.Name], typeName(t)) {
				continue
			}
			from, to := extent(arg, len([]rune(text)), 0)
			from, to = within(text, from, to)
			problems = append(problems, Problem{From: from, To: to, Code: "wrong-arguments",
				Message: fmt.Sprintf("argument %d of %s cannot be %s", i+1, f.Name, article(typeName(t))),
				Hint:    f.Name + " takes " + strings.Join(narrow[f.Name], ", ")})
		}
		return false
	})
	return problems
}
