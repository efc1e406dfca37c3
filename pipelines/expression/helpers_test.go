package expression

import (
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

var clock = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func testScope() *Scope {
	return &Scope{
		Paths: document.NewPaths(),
		Vars:  map[string]any{"blocked": []any{"XX", "YY"}, "limit": 30, "deep": map[string]any{"a": 1}},
		Lookup: func(table, key string) (any, bool, error) {
			if table == "countries" && key == "DE" {
				return map[string]any{"name": "Germany"}, true, nil
			}
			return nil, false, nil
		},
	}
}

// message makes a message of a body, with everything else that an expression can see.
func message(s *Scope, body string) *flow.Message {
	s.Paths.Freeze()
	env := &flow.Env{Source: "in", Connector: "kafka", Format: s.Format, Paths: s.Paths, Now: func() time.Time { return clock },
		Extra: func(*flow.Record) map[string]any { return map[string]any{"epoch": int32(4)} }}
	b := &flow.Batch{Arrived: clock.UnixNano(), Records: []flow.Record{{
		Body: []byte(body), Key: []byte("k1"), Topic: "site/1/temp", Partition: 3, Offset: 1234, Attempt: 1,
		Headers: []flow.Header{flow.TextHeader("site", "lab"), flow.TextHeader("site", "hall"), {Name: "n", Value: value.Int(7)}, flow.TextHeader("user-id", "u1")},
		Time:    clock.Add(-time.Minute).UnixNano(),
	}}}
	m := &flow.Message{}
	m.Open(env, b, 0)
	return m
}

// evaluate compiles and evaluates text; a problem fails the test.
func evaluate(t *testing.T, text string, w Want, body string) (value.Value, error) {
	t.Helper()
	s := testScope()
	p, problems := Compile(text, s, w)
	if len(problems) > 0 {
		t.Fatalf("%s: %+v", text, problems)
	}
	return p.Eval(message(s, body))
}
