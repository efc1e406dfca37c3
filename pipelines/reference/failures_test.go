package reference

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/millstream/millstream/flow"
)

func TestEveryErrorCodeIsDocumented(t *testing.T) {
	for _, code := range codesInSource(t) {
		f, ok := failures[code]
		if !ok || f.Class == "" || f.Means == "" || f.Do == "" {
			t.Errorf("%s is not documented: %+v", code, f)
		}
		if !strings.Contains(FailuresPage(), "| `"+string(code)+"` |") {
			t.Errorf("%s is not in the list", code)
		}
	}
	if len(failures) != len(flow.Codes()) {
		t.Errorf("%d codes are documented, of %d", len(failures), len(flow.Codes()))
	}
}

// codesInSource are the constants of type Code in the package flow, whether or not they are in flow.Codes.
func codesInSource(t *testing.T) (codes []flow.Code) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../flow/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Code" {
			for _, v := range spec.Values {
				if lit, ok := v.(*ast.BasicLit); ok {
					text, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					codes = append(codes, flow.Code(text))
				}
			}
		}
		return true
	})
	if len(codes) < 20 {
		t.Fatalf("found only %v", codes)
	}
	return codes
}
