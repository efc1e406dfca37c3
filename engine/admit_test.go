package engine

import (
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

func TestWhatASourceRefusesFailsAtTheSource(t *testing.T) {
	r := newRig(t, 2)
	s := &r.program.Sources[0]
	s.OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
	r.program.Sinks[1].Name, r.program.Sinks[1].Letters = "dead", true
	s.Check = func(m *flow.Message) error {
		switch string(m.Payload()) {
		case "a:bad":
			return flow.Errorf(flow.Permanent, flow.CodeSchema, "body is string, and must be object")
		case "a:panic":
			panic("a check that breaks")
		}
		return nil
	}
	r.run("a:good", "a:bad", "a:panic", "b:good")
	r.got(0, "a:good", "b:good")
	letters := r.sinks[1].Delivered()
	if len(letters) != 2 {
		t.Fatalf("%d dead letters, want 2", len(letters))
	}
	for i, want := range []string{"schema", "panic"} {
		code := ""
		for _, h := range letters[i].Headers {
			if h.Name == "millstream-error-code" {
				code = h.Text()
			}
		}
		if code != want {
			t.Errorf("letter %d has the code %q, want %s", i, code, want)
		}
	}
}
