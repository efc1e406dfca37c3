package expression

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/expr-lang/expr/builtin"

	"github.com/millstream/millstream/flow/value"
)

// Function is one function of the language. The table of all of them makes the checker's types, the reference and the tests.
type Function struct {
	Name string
	// Types are its overloads, each new(func(…) …): what the checker accepts, and what Impl gets.
	Types []any
	// Doc is one line for the reference.
	Doc string
	// Examples are its tests: both sides are expressions.
	Examples [2]Example
	// Pure: the same arguments give the same result, so a call with constants is folded.
	Pure bool
	// NilOK: nil is a fine argument. Everywhere else it is an error that names the path.
	NilOK bool
	// Impl gets arguments that match one of Types.
	Impl func(c *Call, args []any) (any, error)

	overloads []overload
	kept      *builtin.Function
}

// Example is an expression and what it gives, written as an expression too.
type Example struct{ Expr, Result string }

// Call is what a function may use besides its arguments.
type Call struct {
	run  *run
	site *site
}

// now is the pipeline's clock.
func (c *Call) now() time.Time { return c.run.now() }

// spend takes steps out of the budget of the evaluation.
func (c *Call) spend(steps int) error { return c.run.spend(steps) }

// made charges a string of that many bytes before it is made.
func (c *Call) made(bytes int) error {
	if bytes > maxString {
		return fmt.Errorf("the result would have more than %d bytes", maxString)
	}
	return c.run.spend(bytes / bytesAStep)
}

// listed charges a list of that many elements before it is made.
func (c *Call) listed(n int) error {
	if n > maxElements {
		return fmt.Errorf("the list would have %d elements; %d are allowed", n, maxElements)
	}
	return c.run.spend(n)
}

// Signature shows the overloads as the reference prints them: padLeft(string, int, string) string.
func (f *Function) Signature() []string {
	var out []string
	for _, t := range f.Types {
		ft := reflect.TypeOf(t).Elem()
		args := make([]string, ft.NumIn())
		for i := range args {
			args[i] = typeName(ft.In(i))
			if ft.IsVariadic() && i == len(args)-1 {
				args[i] = typeName(ft.In(i).Elem()) + "…"
			}
		}
		out = append(out, f.Name+"("+strings.Join(args, ", ")+") "+typeName(ft.Out(0)))
	}
	return out
}

// overload is one signature, ready to check arguments.
type overload struct {
	params   []reflect.Type
	variadic bool
}

func (f *Function) prepare() {
	f.kept = &builtin.Function{Name: f.Name, Func: func(...any) (any, error) { return nil, nil }}
	for _, t := range f.Types {
		ft := reflect.TypeOf(t).Elem()
		o := overload{variadic: ft.IsVariadic()}
		for i := range ft.NumIn() {
			p := ft.In(i)
			if o.variadic && i == ft.NumIn()-1 {
				p = p.Elem()
			}
			o.params = append(o.params, p)
		}
		f.overloads = append(f.overloads, o)
		f.kept.Types = append(f.kept.Types, ft)
	}
}

// accepts checks args, and makes the ints floats where floats are wanted. bad is the first argument that does not fit.
func (o *overload) accepts(args []any) (bad int, ok bool) {
	n := len(o.params)
	if len(args) < n && !(o.variadic && len(args) == n-1) || len(args) > n && !o.variadic {
		return len(args), false
	}
	for i, a := range args {
		if !fits(o.params[min(i, n-1)], a) {
			return i, false
		}
	}
	for i, a := range args {
		if x, isInt := a.(int); isInt && o.params[min(i, n-1)].Kind() == reflect.Float64 {
			args[i] = float64(x)
		}
	}
	return 0, true
}

func fits(p reflect.Type, a any) bool {
	switch a.(type) {
	case string:
		return p.Kind() == reflect.String || p.Kind() == reflect.Interface
	case int:
		return p == intType || p.Kind() == reflect.Float64 || p.Kind() == reflect.Interface
	case float64:
		return p.Kind() == reflect.Float64 || p.Kind() == reflect.Interface
	}
	return p.Kind() == reflect.Interface || reflect.TypeOf(a) == p
}

var (
	intType      = reflect.TypeFor[int]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// typeName is the word that people read for a type.
func typeName(t reflect.Type) string {
	switch {
	case t == nil:
		return "nil"
	case t == timeType:
		return "time"
	case t == durationType:
		return "duration"
	}
	switch t.Kind() {
	case reflect.Interface:
		return "any"
	case reflect.Float64:
		return "float"
	case reflect.Map:
		return "map"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "list"
	case reflect.Func:
		return "function"
	}
	return t.Kind().String()
}

// kindName is the word that people read for what x is.
func kindName(x any) string { return value.Unbox(x).Kind().String() }

// call checks the arguments and runs f. The errors do not say which call: the site does.
func (f *Function) call(c *Call, args []any) (any, error) {
	best := -1
	for i := range f.overloads {
		bad, ok := f.overloads[i].accepts(args)
		if ok {
			return f.Impl(c, args)
		}
		best = max(best, bad)
	}
	if best < len(args) && best >= 0 {
		return nil, fmt.Errorf("argument %d of %s cannot be %s", best+1, f.Name, article(kindName(args[best])))
	}
	return nil, fmt.Errorf("%s does not take %d arguments", f.Name, len(args))
}

// article puts a or an before a word.
func article(word string) string {
	switch {
	case word == "nil" || word == "bytes":
		return word
	case strings.ContainsRune("aeiou", rune(word[0])):
		return "an " + word
	}
	return "a " + word
}

// library is all functions by name. It is made once and never changed.
type library struct {
	list   []*Function
	byName map[string]*Function
}

func newLibrary(families ...[]Function) *library {
	l := &library{byName: map[string]*Function{}}
	for _, family := range families {
		for i := range family {
			f := &family[i]
			f.prepare()
			l.list = append(l.list, f)
			l.byName[f.Name] = f
		}
	}
	return l
}

// Functions lists the functions of the language, family by family, expr's own under the same rules included. The predicates (all any
// none one filter map count sum find findIndex findLast findLastIndex groupBy sortBy reduce) are syntax and not among them.
func Functions() []Function {
	out := make([]Function, len(functions.list))
	for i, f := range functions.list {
		out[i] = *f
	}
	return out
}
