package schema

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// Check tells whether a body follows the schema. The error is permanent with the code schema; it names the path that fails and what is
// asked of it, but nothing of what stands there.
func (s *Schema) Check(v value.Value) error {
	err := s.compiled.Validate(v.Box())
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return flow.Errorf(flow.Permanent, flow.CodeSchema, "%w", err)
	}
	f := worst(invalid)
	return flow.Errorf(flow.Permanent, flow.CodeSchema, "%s", f.in("body"))
}

// failure is one rule that a value breaks.
type failure struct {
	path []string
	says string
}

// in is the failure as a sentence; root is what the path starts from.
func (f *failure) in(root string) string {
	var b strings.Builder
	b.WriteString(root)
	for _, name := range f.path {
		switch _, err := strconv.Atoi(name); {
		case err == nil:
			b.WriteString("[" + name + "]")
		case plain(name):
			b.WriteString("." + name)
		default:
			b.WriteString("[" + strconv.Quote(name) + "]")
		}
	}
	return b.String() + " " + f.says
}

func plain(name string) bool {
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// worst is the failure that is told of all: the first by path and words, so that one message fails alike each time.
func worst(e *jsonschema.ValidationError) *failure {
	var best *failure
	collect(e, func(f *failure) {
		if best == nil || before(f, best) {
			best = f
		}
	})
	return best
}

func before(a, b *failure) bool {
	if c := slices.Compare(a.path, b.path); c != 0 {
		return c < 0
	}
	return a.says < b.says
}

// collect visits the rules that are broken. What is inside anyOf and its like may be broken or not, so it is the whole that fails.
func collect(e *jsonschema.ValidationError, visit func(*failure)) {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains:
	default:
		if len(e.Causes) > 0 {
			for _, c := range e.Causes {
				collect(c, visit)
			}
			return
		}
	}
	visit(&failure{path: e.InstanceLocation, says: says(e.ErrorKind)})
}

// says puts a broken rule into words.
func says(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("is %s, and must be %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Required:
		slices.Sort(k.Missing)
		return "lacks " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		slices.Sort(k.Properties)
		return "has " + strings.Join(k.Properties, ", ") + ", which the schema does not know"
	case *kind.Enum:
		return "is none of the values that are allowed" + allowed(k.Want...)
	case *kind.Const:
		return "is not what it must be" + allowed(k.Want)
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("has %d characters, and must have at least %d", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, and must have at most %d", k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has %d elements, and must have at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d elements, and must have at most %d", k.Got, k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("does not match the pattern %q", k.Want)
	case *kind.Format:
		return "is no " + k.Want
	case *kind.FalseSchema:
		return "must not be there"
	}
	return "breaks the rule " + strings.Join(k.KeywordPath(), " ")
}

// allowed lists values that the schema itself names, as far as they are few.
func allowed(values ...any) string {
	texts := make([]string, 0, len(values))
	for _, x := range values {
		texts = append(texts, fmt.Sprint(x))
	}
	list := strings.Join(texts, ", ")
	if len(list) > 200 {
		return ""
	}
	return ": " + list
}

func number(r *big.Rat) string {
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
