package transform_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/nodes/nodetest"
	"github.com/millstream/millstream/nodes/transform"
)

// lines makes a transform of its lines.
func lines(ls ...string) string { return "transform:\n  " + strings.Join(ls, "\n  ") + "\n" }

func TestBodiesAreWritten(t *testing.T) {
	tests := []struct {
		name, body, want string
		lines            []string
	}{
		{name: "a new field", lines: []string{"body.b: body.a * 2"}, body: `{"a":2}`, want: `{"a":2,"b":4}`},
		{name: "the same field", lines: []string{"body.a: body.a + 1"}, body: `{"a":2, "z":1}`, want: `{"a":3, "z":1}`},
		{name: "each line sees the earlier ones", lines: []string{"body.a: 1", "body.b: body.a + 1", `body["a"]: body.b + 1`}, body: `{}`, want: `{"a":3,"b":2}`},
		{name: "missing maps are made", lines: []string{`body.a.b.c: '"x"'`}, body: `{}`, want: `{"a":{"b":{"c":"x"}}}`},
		{name: "a name in brackets", lines: []string{`body["a.b"]: 1`}, body: `{}`, want: `{"a.b":1}`},
		{name: "an element of a list", lines: []string{"body.l[0].x: 9", "body.l[-1].x: 8"}, body: `{"l":[{"x":1},{}]}`, want: `{"l":[{"x":9},{"x":8}]}`},
		{name: "delete removes a field", lines: []string{"body.a: delete"}, body: `{"a":1,"b":2}`, want: `{"b":2}`},
		{name: "delete of a missing field does nothing", lines: []string{"body.x.y: delete"}, body: `{"a":1}`, want: `{"a":1}`},
		{name: "delete removes an element", lines: []string{"body.l[0]: delete"}, body: `{"l":[1,2]}`, want: `{"l":[2]}`},
		{name: "delete at the end of a condition", lines: []string{`body.a: 'body.a > 1 ? delete : keep'`}, body: `{"a":2}`, want: `{}`},
		{name: "keep at the end of a condition", lines: []string{`body.a: 'body.a > 1 ? delete : keep'`}, body: `{"a":1}`, want: `{"a":1}`},
		{name: "keep at the end of ??", lines: []string{`body.a: body.b ?? keep`}, body: `{"a":1}`, want: `{"a":1}`},
		{name: "delete in an if", lines: []string{`body.a: 'if body.a > 1 { delete } else { 0 }'`}, body: `{"a":2}`, want: `{}`},
		{name: "no payload", lines: []string{"body: delete"}, body: `{"a":1}`, want: "(none)"},
		{name: "null", lines: []string{"body: nil"}, body: `{"a":1}`, want: "null"},
		{name: "the whole body", lines: []string{"body: body.a"}, body: `{"a":{"x": 1.50}}`, want: `{"x": 1.50}`},
		{name: "a mapping of expressions", lines: []string{"body:", "  id: body.a", "  list:", "    - body.a + 1", `    - '"x"'`}, body: `{"a":1}`, want: `{"id":1,"list":[2,"x"]}`},
		{name: "a mapping is read against the message before its line", lines: []string{"body.a:", "  old: body.a", "  also: body.a"}, body: `{"a":1}`, want: `{"a":{"also":1,"old":1}}`},
		{name: "a path keeps its bytes", lines: []string{"body.b: body.a"}, body: `{"a": {"n":1.50, "big":123456789012345678901} }`, want: `{"a": {"n":1.50, "big":123456789012345678901},"b":{"n":1.50, "big":123456789012345678901} }`},
		{name: "rename", lines: []string{"body.device: body.device_id", "body.device_id: delete"}, body: `{"device_id":"d1","t":1.0}`, want: `{"t":1.0,"device":"d1"}`},
		{name: "a missing source is null", lines: []string{"body.b: body.a"}, body: `{}`, want: `{"b":null}`},
		{name: "every element", lines: []string{"body.l[*].x: it.x * 2"}, body: `{"l":[{"x":1},{"x":2,"y":3}]}`, want: `{"l":[{"x":2},{"x":4,"y":3}]}`},
		{name: "every element itself", lines: []string{"body.l[*]: it + 1"}, body: `{"l":[1,2]}`, want: `{"l":[2,3]}`},
		{name: "every element sees the message before the line", lines: []string{"body.l[*]: it + body.l[0]"}, body: `{"l":[1,2]}`, want: `{"l":[2,3]}`},
		{name: "some elements go", lines: []string{"body.l[*]: 'it > 1 ? delete : keep'"}, body: `{"l":[1,2,1,3]}`, want: `{"l":[1,1]}`},
		{name: "a field of some elements goes", lines: []string{"body.l[*].a.b: delete"}, body: `{"l":[{"a":{"b":1}},{"a":null},{}]}`, want: `{"l":[{"a":{}},{"a":null},{}]}`},
		{name: "maps are made in elements", lines: []string{"body.l[*].a.b: 1"}, body: `{"l":[{},{"a":{"c":2}}]}`, want: `{"l":[{"a":{"b":1}},{"a":{"b":1,"c":2}}]}`},
		{name: "nothing in a nil list", lines: []string{"body.l[*].x: 1", "body.m.l[*].x: 1"}, body: `{"l":null}`, want: `{"l":null}`},
		{name: "an empty list stays", lines: []string{"body.l[*].x: 1"}, body: `{"l":[ ]}`, want: `{"l":[ ]}`},
		{name: "a whole body that is a list", lines: []string{"body[*]: it + 1"}, body: `[1,2]`, want: `[2,3]`},
		{name: "an int stays exact", lines: []string{"body.b: body.a + 0"}, body: `{"a":9007199254740993}`, want: `{"a":9007199254740993,"b":9007199254740993}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := nodetest.Must(t, transform.Type(), lines(test.lines...))
			res := n.Process(t, n.Message(test.body))
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			if diff := cmp.Diff([]string{test.want}, res.Out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAFailedTransformLeavesTheMessageAsItEntered(t *testing.T) {
	tests := []struct {
		name, line, body, want string
		code                   flow.Code
	}{
		{name: "writing through a scalar", line: "body.s.x: 1", want: "body.s", code: flow.CodeExpression},
		{name: "an element that is not there", line: "body.l[5]: 1", want: "body.l", code: flow.CodeExpression},
		{name: "an expression on nil", line: "body.x: body.missing + 1", want: "body.missing", code: flow.CodeExpression},
		{name: "through a scalar in an element", line: "body.l[*].s.x: 1", want: "body.l[1].s is a string, cannot write body.l[1].s.x", code: flow.CodeExpression},
		{name: "every element of a scalar", line: "body.s[*].x: 1", want: "body.s is a string and no list", code: flow.CodeExpression},
		{name: "meta from a map", line: "meta.x: body", want: "meta.x takes text, a number or a bool, not map", code: flow.CodeExpression},
		{name: "meta from nil", line: "meta.x: body.missing", want: "delete", code: flow.CodeExpression},
		{name: "key from a float", line: "key: body.f", want: "not float", code: flow.CodeExpression},
		{name: "time from text", line: "time: body.s", want: "parseTime", code: flow.CodeExpression},
		{name: "tmp through a scalar", line: "tmp.a.b: 1", want: "tmp.a is an int, cannot write tmp.a.b", code: flow.CodeExpression},
		{name: "fail", line: `body.x: 'fail("why not")'`, want: "why not", code: flow.CodeFailed},
		{name: "a broken body", line: "body.x: body.a", body: `{"a":`, want: "decode", code: flow.CodeDecode},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			written := []string{"tmp.a: 1", "meta.m: 5", `body["n"]: 2`}
			if test.body != "" {
				written = written[:2]
			}
			n := nodetest.Must(t, transform.Type(), lines(append(written, test.line)...))
			body := test.body
			if body == "" {
				body = `{"s":"text","l":[{}, {"s":"x"}],"f":1.5,"n":1.0}`
			}
			m := n.Open(flow.Record{Body: []byte(body), Key: []byte("k1"), Attempt: 1})
			res := n.Process(t, m)
			var e *flow.Error
			if !errors.As(res.Err, &e) || e.Class != flow.Permanent || e.Code != test.code {
				t.Fatalf("got %#v", res.Err)
			}
			target, _, _ := strings.Cut(test.line, ":")
			if text := res.Err.Error(); !strings.HasPrefix(text, target+": ") || !strings.Contains(text, test.want) {
				t.Errorf("the error %q does not name %s and say %q", text, target, test.want)
			}
			if got := nodetest.Payload(t, m); got != body || string(m.Key()) != "k1" || m.Tmp() != nil || len(m.Headers()) != 0 {
				t.Errorf("the message has changed: %s %s %v %v", got, m.Key(), m.Tmp(), m.Headers())
			}
		})
	}
}

func TestKeysMetadataTimeAndScratchAreWritten(t *testing.T) {
	event := time.Date(2020, 5, 6, 7, 8, 9, 0, time.UTC)
	type state struct {
		Key  string
		Meta []string
		Tmp  map[string]any
		Time time.Time
	}
	before := state{Key: `"k1"`, Meta: []string{"site=lab", "n=7"}, Time: event}
	tests := []struct {
		name  string
		lines []string
		want  func(*state)
	}{
		{"text is a key", []string{`key: '"k2"'`}, func(s *state) { s.Key = `"k2"` }},
		{"an int is a key", []string{"key: 42"}, func(s *state) { s.Key = `"42"` }},
		{"a bool is a key", []string{"key: 1 > body.n"}, func(s *state) { s.Key = `"true"` }},
		{"bytes are a key", []string{"key: raw"}, func(s *state) { s.Key = `"{\"n\":0}"` }},
		{"nil is no key", []string{"key: nil"}, func(s *state) { s.Key = "(none)" }},
		{"delete is no key", []string{"key: delete"}, func(s *state) { s.Key = "(none)" }},
		{"keep keeps the key", []string{"key: 'body.n == 0 ? keep : nil'"}, func(*state) {}},
		{"a header is set", []string{`meta.x: '"y"'`}, func(s *state) { s.Meta = append(s.Meta, "x=y") }},
		{"a header is replaced in its place", []string{`meta["site"]: 1.5`}, func(s *state) { s.Meta[0] = "site=1.5" }},
		{"a header is removed", []string{"meta.site: delete"}, func(s *state) { s.Meta = s.Meta[1:] }},
		{"a header is kept", []string{"meta.site: keep"}, func(*state) {}},
		{"time from a time", []string{"time: now()"}, func(s *state) { s.Time = nodetest.Clock }},
		{"time is kept", []string{"time: keep"}, func(*state) {}},
		{"scratch", []string{"tmp.a.b: 1", "tmp.a.c: tmp.a.b + 1", `tmp["x y"]: 3`}, func(s *state) {
			s.Tmp = map[string]any{"a": map[string]any{"b": 1, "c": 2}, "x y": 3}
		}},
		{"scratch is removed", []string{"tmp.a.b: 1", `tmp["a"].b: delete`, "tmp.c: delete"}, func(s *state) { s.Tmp = map[string]any{"a": map[string]any{}} }},
		{"every element of a scratch list", []string{"tmp.l:", "  - 1", "  - 2", "tmp.l[*]: it * 10", "tmp.none[*].x: 1", "tmp.l[0]: delete"}, func(s *state) {
			s.Tmp = map[string]any{"l": []any{20}}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := nodetest.Must(t, transform.Type(), lines(test.lines...))
			m := n.Open(flow.Record{Body: []byte(`{"n":0}`), Key: []byte("k1"), Time: event.UnixNano(), Attempt: 1,
				Headers: []flow.Header{flow.TextHeader("site", "lab"), {Name: "n", Value: value.Int(7)}}})
			if res := n.Process(t, m); res.Err != nil {
				t.Fatal(res.Err)
			}
			want := before
			want.Meta = append([]string(nil), before.Meta...)
			test.want(&want)
			got := state{Key: "(none)", Tmp: m.Tmp(), Time: m.Time()}
			if m.Key() != nil {
				text, _ := value.AppendJSON(nil, value.String(string(m.Key())))
				got.Key = string(text)
			}
			for _, h := range m.Headers() {
				got.Meta = append(got.Meta, h.Name+"="+h.Text())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWritesDoNotReachACopy(t *testing.T) {
	n := nodetest.Must(t, transform.Type(), lines("tmp.a.b: body.n", "body.l[*].x: body.n", "meta.m: body.n"))
	first := n.Message(`{"n":1,"l":[{}]}`)
	if res := n.Process(t, first); res.Err != nil {
		t.Fatal(res.Err)
	}
	copied := first.Clone()
	again := nodetest.Must(t, transform.Type(), lines("tmp.a.b: 2"))
	if res := again.Process(t, first); res.Err != nil {
		t.Fatal(res.Err)
	}
	if diff := cmp.Diff(map[string]any{"a": map[string]any{"b": 1}}, copied.Tmp()); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesInATransformAreFound(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "transform: {}\n", "1:12 missing-key: the transform is empty"},
		{"nothing", "transform:\n", "1:1 wrong-type: transform has no value"},
		{"a list", "transform: [a]\n", "1:12 wrong-type"},
		{"missing", "{}\n", "1:1 missing-key"},
		{"a merge key", "transform:\n  <<: {body.a: 1}\n  body.b: 1\n", "2:3 merge-in-ordered"},
		{"a target twice", lines("body.a: 1", "body.a: 2"), "3:3 duplicate-key"},
		{"an unknown target", lines("bdy.a: 1"), "2:3 unknown-target"},
		{"a bad target", lines("body.a-b: 1"), "2:8 dash-in-name"},
		{"a bad expression", lines("body.a: 1 +"), "expression-syntax"},
		{"an unknown name", lines("body.a: tpoic"), "2:11 unknown-name"},
		{"in a nested mapping", lines("body.a:", "  b: tpoic"), "3:8 unknown-name"},
		{"it without a list", lines("body.a: it"), "2:11 "},
		{"time from a constant text", lines(`time: '"2020"'`), "2:3 type-mismatch: time takes a time, not string"},
		{"time removed", lines("time: delete"), "2:3 type-mismatch"},
		{"key from a constant list", lines("key:", "  - 1"), "2:3 type-mismatch: key takes"},
		{"meta from nil", lines("meta.a: nil"), "2:3 type-mismatch: meta.a is set to nil"},
		{"an unknown option", lines("body.a: 1") + "match: all\n", "3:1 unknown-key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, findings := nodetest.Build(t, transform.Type(), test.text)
			if len(findings) != 1 || !strings.Contains(findings[0], test.want) {
				t.Errorf("got %q, want one with %q", findings, test.want)
			}
		})
	}
	_, findings := nodetest.BuildFor(t, transform.Type(), document.Text, lines("body.a: 1"))
	if len(findings) != 1 || !strings.Contains(findings[0], "2:3 path-into-text") {
		t.Errorf("a path into text: %q", findings)
	}
}

func TestATextBodyIsReplacedAsAWhole(t *testing.T) {
	n, findings := nodetest.BuildFor(t, transform.Type(), document.Text, lines("body: upper(body)"))
	if findings != nil {
		t.Fatal(findings)
	}
	if res := n.Process(t, n.Message("abc")); res.Err != nil || res.Out[0] != "ABC" {
		t.Errorf("got %+v", res)
	}
}
