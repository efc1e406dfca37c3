package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/nodes/filter"
	"github.com/millstream/millstream/nodes/nodetest"
)

func TestFilterKeepsWhatIsTrue(t *testing.T) {
	n := nodetest.Must(t, filter.Type(), "filter: body.temp > 30 and meta.site != \"lab\"\n")
	for body, kept := range map[string]bool{`{"temp":31}`: true, `{"temp":30}`: false} {
		res := n.Process(t, n.Message(body))
		if res.Err != nil || (len(res.Out) == 1) != kept || res.Settled != flow.Open {
			t.Errorf("%s: %+v", body, res)
		}
		if kept && res.Out[0] != body {
			t.Errorf("the body has changed: %s", res.Out[0])
		}
	}
}

func TestWhatIsNoBoolIsAnErrorAndNoDrop(t *testing.T) {
	n := nodetest.Must(t, filter.Type(), "filter: body.flag\n")
	for _, body := range []string{`{"flag":"yes"}`, `{"flag":1}`, `{"flag":null}`, `{}`, `[`} {
		res := n.Process(t, n.Message(body))
		var e *flow.Error
		if !errors.As(res.Err, &e) || e.Class != flow.Permanent || len(res.Out) != 0 {
			t.Errorf("%s: %+v", body, res)
		}
	}
}

func TestMistakesInAFilterAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"filter: body.a +\n":     "expression-syntax",
		"filter: 5\n":            "not-bool",
		"filter: true\n":         "constant-condition",
		"filter:\n":              "wrong-type",
		"{}\n":                   "missing-key",
		"filter: {a: b}\n":       "unquoted-braces",
		"filter: body.a\nx: 1\n": "unknown-key",
	} {
		_, findings := nodetest.Build(t, filter.Type(), text)
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: got %q, want %s", text, findings, want)
		}
	}
}
