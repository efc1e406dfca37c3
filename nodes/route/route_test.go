package route_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/nodes/nodetest"
	"github.com/millstream/millstream/nodes/route"
)

const cases = "route:\n  high: body.n > 10\n  even: body.n % 2 == 0\n"

func TestRoute(t *testing.T) {
	tests := []struct {
		name, text, body string
		want             []flow.Port
		settled          flow.End
	}{
		{name: "the first case that is true", text: cases + "  rest: else\n", body: `{"n":12}`, want: []flow.Port{0}},
		{name: "a later case", text: cases + "  rest: else\n", body: `{"n":2}`, want: []flow.Port{1}},
		{name: "else", text: cases + "  rest: else\n", body: `{"n":3}`, want: []flow.Port{2}},
		{name: "nothing but drop", text: cases + "unmatched: drop\n", body: `{"n":3}`, settled: flow.Dropped},
		{name: "all that are true", text: cases + "  rest: else\nmatch: all\n", body: `{"n":12}`, want: []flow.Port{0, 1}},
		{name: "all, where one is", text: cases + "  rest: else\nmatch: all\n", body: `{"n":13}`, want: []flow.Port{0}},
		{name: "all, where none is", text: cases + "  rest: else\nmatch: all\n", body: `{"n":3}`, want: []flow.Port{2}},
		{name: "all, where none is, but drop", text: cases + "match: all\nunmatched: drop\n", body: `{"n":3}`, settled: flow.Dropped},
		{name: "a case behind the first true one is not asked", text: "route:\n  a: body.n == 1\n  b: body.missing > 1\n  rest: else\n", body: `{"n":1}`, want: []flow.Port{0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := nodetest.Must(t, route.Type(), test.text)
			res := n.Process(t, n.Message(test.body))
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			if diff := cmp.Diff(test.want, res.Ports); diff != "" {
				t.Error(diff)
			}
			if res.Settled != test.settled {
				t.Errorf("settled %v, want %v", res.Settled, test.settled)
			}
			for _, out := range res.Out {
				if out != test.body {
					t.Errorf("the body has changed: %s", out)
				}
			}
		})
	}
}

func TestPortsAreTheNamesOfTheCases(t *testing.T) {
	n := nodetest.Must(t, route.Type(), cases+"  rest: else\n")
	if diff := cmp.Diff([]string{"high", "even", "rest"}, n.Ports); diff != "" {
		t.Error(diff)
	}
}

func TestAnErringCaseFailsTheMessageBeforeAnyCopyLeaves(t *testing.T) {
	for _, match := range []string{"first", "all"} {
		n := nodetest.Must(t, route.Type(), "route:\n  a: body.n > 1\n  b: body.missing > 1\n  rest: else\nmatch: "+match+"\n")
		res := n.Process(t, n.Message(`{"n":1}`))
		var e *flow.Error
		if !errors.As(res.Err, &e) || e.Code != flow.CodeExpression || len(res.Out) != 0 {
			t.Errorf("match %s: %+v", match, res)
		}
	}
	n := nodetest.Must(t, route.Type(), "route:\n  a: body.n == 1\n  b: body.missing > 1\n  rest: else\nmatch: all\n")
	if res := n.Process(t, n.Message(`{"n":1}`)); res.Err == nil {
		t.Error("a later case failed and a copy has left")
	}
}

func TestCopiesAreIndependent(t *testing.T) {
	n := nodetest.Must(t, route.Type(), cases+"match: all\nunmatched: drop\n")
	res := n.Process(t, n.Message(`{"n":12}`))
	if len(res.Messages) != 2 || res.Messages[0] == res.Messages[1] {
		t.Fatalf("got %+v", res)
	}
	res.Messages[0].SetKey([]byte("k"))
	if res.Messages[1].Key() != nil {
		t.Error("a write to one copy shows in the other")
	}
}

func TestMistakesInARouteAreFound(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no else and no word about the rest", cases, "1:1 missing-key: the file does not say what becomes"},
		{"else and unmatched", cases + "  rest: else\nunmatched: drop\n", "5:12 conflicting-key"},
		{"else in the middle", "route:\n  rest: else\n  a: body.n > 1\nunmatched: drop\n", "2:9 bad-value"},
		{"two of them", "route:\n  rest: else\n  more: else\n", "2:9 bad-value"},
		{"else as a name", "route:\n  a: body.n > 1\n  else: body.x\nunmatched: drop\n", "3:3 reserved-name"},
		{"errors as a name", "route:\n  errors: body.n > 1\nunmatched: drop\n", "2:3 reserved-name"},
		{"a bad name", "route:\n  A1: body.n > 1\nunmatched: drop\n", "2:3 bad-name"},
		{"no case", "route: {}\nunmatched: drop\n", "1:8 missing-key"},
		{"no mapping", "route: body.x\nunmatched: drop\n", "1:8 wrong-type"},
		{"a merge key", "route:\n  <<: {a: body.x}\n  b: body.x\nunmatched: drop\n", "2:3 merge-in-ordered"},
		{"a case twice", "route:\n  a: body.x\n  a: body.y\nunmatched: drop\n", "3:3 duplicate-key"},
		{"a bad condition", "route:\n  a: 5\n  b: body.x\nunmatched: drop\n", "2:6 not-bool"},
		{"an unknown match", cases + "  rest: else\nmatch: some\n", "5:8 bad-value"},
		{"an unknown unmatched", cases + "unmatched: keep\n", "4:12 bad-value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, findings := nodetest.Build(t, route.Type(), test.text)
			if len(findings) != 1 || !strings.Contains(findings[0], test.want) {
				t.Errorf("got %q, want one with %q", findings, test.want)
			}
		})
	}
	if !route.Type().NodeOnly {
		t.Error("route must not be a step")
	}
}
