package reference

import (
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/expression"
)

func TestEveryPredicateDoesWhatItsExampleSays(t *testing.T) {
	for _, p := range Predicates() {
		got, want := evaluate(t, p.Example.Expr), evaluate(t, p.Example.Result)
		if !value.Equal(got, want) {
			t.Errorf("%s = %#v, want %s", p.Example.Expr, got.Box(), p.Example.Result)
		}
	}
}

func evaluate(t *testing.T, text string) value.Value {
	t.Helper()
	scope := expression.Scope{Paths: document.NewPaths()}
	p, problems := expression.Compile(text, &scope, expression.WantAny)
	if p == nil {
		t.Fatalf("%s: %v", text, problems)
	}
	m := &flow.Message{}
	batch := &flow.Batch{Records: []flow.Record{{Body: []byte("{}")}}}
	m.Open(&flow.Env{Paths: scope.Paths, Now: time.Now}, batch, 0)
	v, err := p.Eval(m)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}
