package expression

import (
	"testing"

	"github.com/millstream/millstream/flow/value"
)

func TestEveryFunctionDoesWhatItsExamplesSay(t *testing.T) {
	for _, f := range Functions() {
		if f.Doc == "" {
			t.Errorf("%s has no doc", f.Name)
		}
		for _, e := range f.Examples {
			got, err := evaluate(t, e.Expr, WantAny, `{}`)
			if err != nil {
				t.Errorf("%s: %v", e.Expr, err)
				continue
			}
			want, err := evaluate(t, e.Result, WantAny, `{}`)
			if err != nil {
				t.Fatalf("%s: %v", e.Result, err)
			}
			if !value.Equal(got, want) {
				t.Errorf("%s = %#v, want %s", e.Expr, got.Box(), e.Result)
			}
		}
	}
}
