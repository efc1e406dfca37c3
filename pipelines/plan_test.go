package pipelines_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/pipelines"
)

const planned = `# a pipeline
name: orders
vars: { limit: 10, note: a }
sources:
  in: { kafka: { brokers: ["${KAFKA}"], topics: [orders], group: g }, note: where they come from }
nodes:
  clean:
    from: in
    steps:
      - filter: body.total > vars.limit
      - transform:
          body.a: "1"
          body.b: { x: "1", y: "2" }
  kind:
    from: clean
    route: { note: body.a == 1, rest: else }
sinks:
  a: { from: kind.note, kafka: { brokers: [k], topic: "a.{{ vars.note }}" } }
  b: { from: kind.rest, stdout: {} }
  dead: { file: { path: dead.ndjson } }
on_error: { retry: { max: 5 }, then: dead }
tests:
  - name: t
    send: [{ body: { total: 11 } }]
    expect: { a: [{ body: {}, match: subset }] }
`

func compile(t *testing.T, text string, change func(*pipelines.Options)) *pipelines.Program {
	t.Helper()
	opts := options()
	if change != nil {
		change(&opts)
	}
	p, findings := pipelines.Compile("p.yaml", []byte(text), opts)
	if p == nil {
		t.Fatalf("the file does not compile: %+v\n%s", findings.All(), text)
	}
	return p
}

func replace(t *testing.T, old, replacement string) string {
	t.Helper()
	if !strings.Contains(planned, old) {
		t.Fatalf("the file has no %q", old)
	}
	return strings.Replace(planned, old, replacement, 1)
}

func TestWhatChangesNothingKeepsThePipeline(t *testing.T) {
	for name, edit := range map[string][2]string{
		"a comment":           {"# a pipeline\n", "# another\n\n\n"},
		"an empty line":       {"nodes:\n", "\nnodes:\n"},
		"flow style":          {"    route: { note: body.a == 1, rest: else }\n", "    route:\n      note: body.a == 1\n      rest: else\n"},
		"quotes":              {"topics: [orders]", `topics: ["orders"]`},
		"the order of keys":   {"topics: [orders], group: g", "group: g, topics: [orders]"},
		"a note":              {"note: where they come from", "note: from elsewhere"},
		"no note":             {", note: where they come from", ""},
		"a description":       {"name: orders\n", "description: says it\nname: orders\n"},
		"a test":              {"  - name: t\n", "  - name: other\n"},
		"an extension key":    {"name: orders\n", "x-any: { a: 1 }\nname: orders\n"},
		"a variable":          {`["${KAFKA}"]`, `["${BROKERS:-a:9092, b:9092}"]`},
		"the order of vars":   {"{ limit: 10, note: a }", "{ note: a, limit: 10 }"},
		"the order of parts":  {"  b: { from: kind.rest, stdout: {} }\n  dead: { file: { path: dead.ndjson } }\n", "  dead: { file: { path: dead.ndjson } }\n  b: { from: kind.rest, stdout: {} }\n"},
		"an alias":            {"stdout: {} }\n", "stdout: &nothing {} }\n"},
		"one in a list":       {"from: clean", "from: clean"},
		"a duration's spaces": {"retry: { max: 5 }", "retry: {max: 5}"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := compile(t, planned, nil), compile(t, replace(t, edit[0], edit[1]), nil)
			want := []pipelines.PlanStep{{Pipeline: "orders", Action: pipelines.Keep}}
			if d := cmp.Diff(want, pipelines.Plan([]*pipelines.Program{before}, []*pipelines.Program{after})); d != "" {
				t.Errorf("plan (-want +got):\n%s", d)
			}
		})
	}
}

func TestAChangeSwapsOrReplacesAndSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		old, replacement string
		action           pipelines.Action
		reason           string
	}{
		"an expression":               {"body.total > vars.limit", "body.total >= vars.limit", pipelines.Swap, "node clean.1: filter changed"},
		"the order of a transform":    {"body.a: \"1\"\n          body.b: { x: \"1\", y: \"2\" }", "body.b: { x: \"1\", y: \"2\" }\n          body.a: \"1\"", pipelines.Swap, "node clean.2: transform changed"},
		"the order inside an object":  {`{ x: "1", y: "2" }`, `{ y: "2", x: "1" }`, pipelines.Swap, "node clean.2: transform changed"},
		"a case called note":          {"note: body.a == 1", "note: body.a == 2", pipelines.Swap, "node kind: route changed"},
		"a constant of a node":        {"limit: 10", "limit: 11", pipelines.Swap, "node clean.1: filter changed"},
		"the type of a constant":      {"limit: 10", "limit: 10.0", pipelines.Swap, "node clean.1: filter changed"},
		"on_error":                    {"max: 5", "max: 6", pipelines.Swap, "on_error changed"},
		"an edge":                     {"b: { from: kind.rest, stdout: {} }", "b: { from: [kind.rest, in], stdout: {} }", pipelines.Swap, "source in: readers changed"},
		"a new node":                  {"  kind:\n    from: clean\n", "  more: { from: clean, filter: body.x }\n  kind:\n    from: more\n", pipelines.Swap, "node clean.2: readers changed"},
		"a topic":                     {"topics: [orders]", "topics: [orders2]", pipelines.Replace, "source in: topics changed"},
		"a group":                     {"group: g", "group: h", pipelines.Replace, "source in: group changed"},
		"a sink's topic":              {"\"a.{{", "\"b.{{", pipelines.Replace, "sink a: topic changed"},
		"a constant called note":      {"note: a }", "note: b }", pipelines.Replace, "sink a: topic changed"},
		"a new sink":                  {"  b: {", "  c: { from: kind.rest, stdout: {} }\n  b: {", pipelines.Replace, "sink c added"},
		"a renamed sink":              {"  b: {", "  c: {", pipelines.Replace, "sink c added"},
		"order":                       {"name: orders\n", "name: orders\norder: source\n", pipelines.Replace, "source in: order changed"},
		"limits":                      {"name: orders\n", "name: orders\nlimits: { in_flight: 10 }\n", pipelines.Replace, "limits changed"},
		"a format by its name":        {"topics: [orders], group: g }", "topics: [orders], group: g }, decode: json", pipelines.Swap, "source in: decode changed"},
		"an optional sink":            {"b: { from: kind.rest, stdout: {} }", "b: { from: kind.rest, stdout: {}, optional: true }", pipelines.Replace, "sink b: optional changed"},
		"a name that a variable gave": {`["${KAFKA}"]`, `["${EMPTY:-c:9092}"]`, pipelines.Replace, "source in: brokers changed"},
		"an on_error of one part":     {"filter: body.total > vars.limit", "filter: body.total > vars.limit\n        on_error: { then: drop }", pipelines.Swap, "node clean.1: on_error changed"},
		"a connector":                 {"b: { from: kind.rest, stdout: {} }", "b: { from: kind.rest, file: { path: x } }", pipelines.Replace, "sink b: connector, path changed"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := compile(t, planned, nil), compile(t, replace(t, c.old, c.replacement), nil)
			steps := pipelines.Plan([]*pipelines.Program{before}, []*pipelines.Program{after})
			if len(steps) != 1 || steps[0].Action != c.action || len(steps[0].Reasons) == 0 || steps[0].Reasons[0] != c.reason {
				t.Errorf("plan is %+v, want %s because %s", steps, c.action, c.reason)
			}
		})
	}
}

func TestAPlanStartsAndStopsByName(t *testing.T) {
	a := compile(t, planned, nil)
	b := compile(t, strings.Replace(planned, "name: orders", "name: other", 1), nil)
	want := []pipelines.PlanStep{
		{Pipeline: "orders", Action: pipelines.Stop}, {Pipeline: "other", Action: pipelines.Start},
	}
	if d := cmp.Diff(want, pipelines.Plan([]*pipelines.Program{a}, []*pipelines.Program{b})); d != "" {
		t.Errorf("plan (-want +got):\n%s", d)
	}
	if steps := pipelines.Plan(nil, nil); len(steps) != 0 {
		t.Errorf("a plan from nothing to nothing is %+v", steps)
	}
}

func TestSettingAConstantIsWritingItIntoTheFile(t *testing.T) {
	written := compile(t, replace(t, "limit: 10", "limit: 12"), nil)
	set := compile(t, planned, func(o *pipelines.Options) { o.Vars = map[string]string{"limit": "12"} })
	if written.Hash != set.Hash {
		t.Error("--set limit=12 and limit: 12 have different hashes")
	}
	if compile(t, planned, nil).Hash == set.Hash {
		t.Error("--set limit=12 does not change the hash")
	}
}

func TestAnAliasHashesAsWhatItStandsFor(t *testing.T) {
	direct := compile(t, "name: x\nfrom: { stdin: {} }\nto: { kafka: { brokers: [a], topic: t } }\n", nil)
	alias := compile(t, "name: x\nx-b: &b { brokers: [a] }\nfrom: { stdin: {} }\nto: { kafka: { <<: *b, topic: t } }\n", nil)
	if direct.Hash != alias.Hash {
		t.Error("a merge key changes the hash")
	}
}

func TestAPlanShowsNoValues(t *testing.T) {
	before := compile(t, planned, nil)
	for _, edit := range [][2]string{
		{`["${KAFKA}"]`, `["verysecret:9092"]`}, {"group: g", "group: verysecret"}, {"body.a: \"1\"", "body.verysecret: \"1\""},
		{"note: a }", "note: verysecret }"}, {"max: 5", "max: 5, backoff: 77777ms..77777s"}, {"path: dead.ndjson", "path: verysecret"},
	} {
		after := compile(t, replace(t, edit[0], edit[1]), nil)
		for _, step := range pipelines.Plan([]*pipelines.Program{before}, []*pipelines.Program{after}) {
			if text := strings.Join(step.Reasons, " "); text == "" || strings.Contains(text, "verysecret") || strings.Contains(text, "77777") {
				t.Errorf("the reasons for %s are %q", edit[1], text)
			}
		}
	}
}

func TestASourceThatMakesTextInsteadOfJSONIsOpenedAgain(t *testing.T) {
	text := "name: x\nfrom: { stdin: {}, decode: text }\nto: { stdout: {} }\n"
	before, after := compile(t, text, nil), compile(t, strings.Replace(text, "text", "json", 1), nil)
	steps := pipelines.Plan([]*pipelines.Program{before}, []*pipelines.Program{after})
	if steps[0].Action != pipelines.Replace || steps[0].Reasons[0] != "source from: decode changed" {
		t.Errorf("plan is %+v", steps)
	}
}
