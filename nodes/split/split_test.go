package split_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/nodes/nodetest"
	"github.com/millstream/millstream/nodes/split"
)

func TestEachElementBecomesABody(t *testing.T) {
	tests := []struct {
		name, expression, body string
		want                   []string
	}{
		{"a field", "body.items", `{"items":[{"a":1},{"a":2}]}`, []string{`{"a":1}`, `{"a":2}`}},
		{"elements keep their bytes", "body.items", `{"items": [ {"z":1.50,  "a":123456789012345678901} , "é" ,null,[1 , 2]]}`, []string{`{"z":1.50,  "a":123456789012345678901}`, `"é"`, "null", "[1 , 2]"}},
		{"the whole body", "body", `[1,2.0,"x"]`, []string{"1", "2.0", `"x"`}},
		{"ints are exact", "map(body.items, it.n)", `{"items":[{"n":9007199254740993}]}`, []string{"9007199254740993"}},
		{"a computed list", `filter(body.items, it > 1)`, `{"items":[1,2,3]}`, []string{"2", "3"}},
		{"an empty list", "body.items", `{"items":[ ]}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := nodetest.Must(t, split.Type(), "split: "+test.expression+"\n")
			res := n.Process(t, n.Message(test.body))
			if res.Err != nil || res.Settled != flow.Open {
				t.Fatalf("%+v", res)
			}
			if diff := cmp.Diff(test.want, res.Out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestElementsInheritEverythingElse(t *testing.T) {
	for _, expression := range []string{"body.items", "map(body.items, it)"} {
		n := nodetest.Must(t, split.Type(), "split: "+expression+"\n")
		m := n.Open(flow.Record{Body: []byte(`{"items":[1,2]}`), Key: []byte("k"), Topic: "t", Offset: 9, Partition: 3, Attempt: 1,
			Headers: []flow.Header{flow.TextHeader("a", "b")}})
		m.SetTmp(map[string]any{"x": 1})
		m.ExtendID(4)
		res := n.Process(t, m)
		if res.Err != nil || len(res.Messages) != 2 {
			t.Fatalf("%+v", res)
		}
		for i, e := range res.Messages {
			index, _ := e.Meta("split_index")
			a, _ := e.Meta("a")
			got := []string{e.ID(), index, a, string(e.Key()), e.Topic(), fmt.Sprint(e.Tmp())}
			want := []string{fmt.Sprintf("test:t/3@9/4/%d", i), fmt.Sprint(i), "b", "k", "t", "map[x:1]"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", expression, diff)
			}
		}
		if _, ok := m.Meta("split_index"); ok || m.ID() != "test:t/3@9/4" {
			t.Error("the parent has changed")
		}
	}
}

func TestWhatAnEarlierNodeWroteIsSplit(t *testing.T) {
	n := nodetest.Must(t, split.Type(), "split: body.items\n")
	m := n.Message(`{"items":[1.0]}`)
	if err := m.Body.Copy(n.Env.Paths.Read(), n.Env.Paths.Read()); err != nil {
		t.Fatal(err)
	}
	res := n.Process(t, m)
	if diff := cmp.Diff([]string{"1.0"}, res.Out); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoListIsAnError(t *testing.T) {
	n := nodetest.Must(t, split.Type(), "split: body.items\n")
	for body, code := range map[string]flow.Code{
		`{"items":{"a":1}}`: flow.CodeExpression, `{"items":"[1]"}`: flow.CodeExpression, `{}`: flow.CodeExpression, `{"items":null}`: flow.CodeExpression,
		`[1`: flow.CodeDecode,
	} {
		res := n.Process(t, n.Message(body))
		var e *flow.Error
		if !errors.As(res.Err, &e) || e.Class != flow.Permanent || e.Code != code || len(res.Out) != 0 {
			t.Errorf("%s: %+v", body, res)
		}
	}
}

func TestMistakesInASplitAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"split: \"5\"\n": "not-list", "split:\n": "wrong-type", "{}\n": "missing-key", "split: body.a\nmatch: all\n": "unknown-key",
	} {
		_, findings := nodetest.Build(t, split.Type(), text)
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: got %q, want %s", text, findings, want)
		}
	}
}

func TestALongListIsAnError(t *testing.T) {
	for _, expression := range []string{"body", "map(body, it)"} {
		n := nodetest.Must(t, split.Type(), "split: "+expression+"\n")
		list := "[1" + strings.Repeat(",1", 9_999)
		if res := n.Process(t, n.Message(list+"]")); res.Err != nil || len(res.Out) != 10_000 {
			t.Errorf("%s: %v, %d elements", expression, res.Err, len(res.Out))
		}
		var e *flow.Error
		if res := n.Process(t, n.Message(list+",1]")); !errors.As(res.Err, &e) || e.Class != flow.Permanent {
			t.Errorf("%s: %v", expression, res.Err)
		}
	}
}
