package pipelines_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

func TestPartsAndStepsHaveTheirNames(t *testing.T) {
	p := compile(t, `
name: x
from: { stdin: {} }
steps:
  - filter: body.a
  - filter: body.b
    name: second
  - filter: body.c
to: [{ stdout: {} }, { drop: {} }]
`, nil)
	var names []string
	for i := range p.Sources {
		names = append(names, p.Sources[i].Name)
	}
	for i := range p.Nodes {
		names = append(names, p.Nodes[i].Name)
	}
	for i := range p.Sinks {
		names = append(names, p.Sinks[i].Name)
	}
	if d := cmp.Diff([]string{"from", "steps.1", "second", "steps.3", "to", "to.2"}, names); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func TestTheGraphIsJoinedAsTheFileSays(t *testing.T) {
	p := compile(t, `
name: x
sources: { in: { stdin: {} } }
nodes:
  kind: { from: clean, route: { hot: body.t > 30, cold: else } }
  clean: { from: in, steps: [{ filter: body.a }, { filter: body.b }] }
sinks:
  hot: { from: kind.hot, stdout: {} }
  all: { from: [kind.hot, kind.cold], drop: {} }
  bad: { from: clean.errors, file: { path: bad } }
`, nil)
	names := func(edges []pipelines.Edge) (s string) {
		for _, e := range edges {
			if e.Sink {
				s += " " + p.Sinks[e.Index].Name
			} else {
				s += " " + p.Nodes[e.Index].Name
			}
		}
		return s
	}
	var b strings.Builder
	b.WriteString("in:" + names(p.Sources[0].Out) + "\n")
	for i := range p.Nodes {
		n := &p.Nodes[i]
		for port := range n.Ports {
			b.WriteString(n.Name + ":" + names(n.Ports[port]) + "\n")
		}
		b.WriteString(n.Name + " errors:" + names(n.Errors) + "\n")
	}
	want := `in: clean.1
clean.1: clean.2
clean.1 errors: bad
clean.2: kind
clean.2 errors: bad
kind: hot all
kind: all
kind errors:
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("edges (-want +got):\n%s", d)
	}
}

func TestTheNearestOnErrorCountsWhole(t *testing.T) {
	p := compile(t, `
name: x
sources: { in: { stdin: {} } }
nodes:
  a:
    from: in
    on_error: { retry: { max: 2 }, then: drop }
    steps:
      - filter: body.a
      - filter: body.b
        on_error: { retry: none }
      - filter: body.c
        on_error: { retry: { max: 7, backoff: 1s..1m }, then: dead }
  b: { from: a, filter: body.d }
  c: { from: b, route: { yes: body.x, no: else } }
sinks:
  out: { from: [c.yes, c.no], stdout: {} }
  dead: { file: { path: dead } }
on_error: { retry: { backoff: 5s }, then: continue }
`, nil)
	got := map[string]pipelines.Policy{"in": p.Sources[0].OnError, "out": p.Sinks[0].OnError}
	for i := range p.Nodes {
		got[p.Nodes[i].Name] = p.Nodes[i].OnError
	}
	inherited := pipelines.Policy{Retries: -1, MinBackoff: 5 * time.Second, MaxBackoff: 5 * time.Second, Then: pipelines.ThenContinue}
	nothingAfter := inherited
	nothingAfter.Then, nothingAfter.Unsaid = pipelines.ThenPause, true
	standard := pipelines.DefaultPolicy()
	drop := standard
	drop.Retries, drop.Then, drop.Unsaid = 2, pipelines.ThenDrop, false
	once := standard
	once.Retries = 0
	want := map[string]pipelines.Policy{
		"a.1": drop, "a.2": once,
		"a.3": {Retries: 7, MinBackoff: time.Second, MaxBackoff: time.Minute, Then: pipelines.ThenSink, Sink: 1},
		"b":   inherited,
		// continue leads nowhere from a router, a sink, or a source that could not take a record: there it is read as pause.
		"c": nothingAfter, "out": nothingAfter, "in": nothingAfter,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("policies (-want +got):\n%s", d)
	}
	if !p.Sinks[1].Letters || p.Sinks[0].Letters {
		t.Error("the sink named in then gets dead letters, and no other")
	}
}

func TestReadersOfErrorsAreTheThen(t *testing.T) {
	p := compile(t, `
name: x
sources: { in: { stdin: {} } }
nodes:
  a:
    from: in
    on_error: { retry: none }
    steps:
      - filter: body.a
      - { filter: body.b, name: own, on_error: { then: drop } }
sinks:
  out: { from: a, stdout: {} }
  bad: { from: a.errors, drop: {} }
`, nil)
	if n := p.Nodes[0]; n.OnError.Then != pipelines.ThenErrors || n.OnError.Retries != 0 || len(n.Errors) != 1 {
		t.Errorf("step 1 has the policy %+v with %d readers", n.OnError, len(n.Errors))
	}
	if n := p.Nodes[1]; n.OnError.Then != pipelines.ThenDrop || len(n.Errors) != 0 {
		t.Errorf("the step with its own on_error has the policy %+v with %d readers", n.OnError, len(n.Errors))
	}
}

func TestLimitsAndOrderHaveDefaults(t *testing.T) {
	p := compile(t, "name: x\nfrom: { stdin: {} }\nto: { stdout: {} }\n", nil)
	if p.Limits != pipelines.DefaultLimits() {
		t.Errorf("limits are %+v", p.Limits)
	}
	if p.Sources[0].Order != pipelines.BySource {
		t.Errorf("a source without keys is ordered by %s", p.Sources[0].Order)
	}
	keyed := "name: x\n%sfrom: { kafka: { brokers: [a], topics: [t], group: g } }\nto: { stdout: {} }\n"
	for line, want := range map[string]pipelines.Order{
		"": pipelines.ByKey, "order: source\n": pipelines.BySource, "order: none\n": pipelines.Unordered, "order: by_key\n": pipelines.ByKey,
	} {
		if got := compile(t, strings.Replace(keyed, "%s", line, 1), nil).Sources[0].Order; got != want {
			t.Errorf("%q gives order %s, want %s", line, got, want)
		}
	}
	p = compile(t, "name: x\nlimits: { max_message: 2KiB, in_flight: 3 }\nfrom: { stdin: {} }\nto: { stdout: {} }\n", nil)
	if want := (flow.Limits{MaxMessage: 2048, InFlight: 3, InFlightBytes: 32 << 20}); p.Limits != want {
		t.Errorf("limits are %+v, want %+v", p.Limits, want)
	}
}

// filterIf compiles a filter over constants and tells whether it holds.
func filterIf(t *testing.T, head, expr string, change func(*pipelines.Options)) bool {
	t.Helper()
	p := compile(t, "name: x\n"+head+"\nfrom: { stdin: {} }\nsteps:\n  - filter: body.yes\n    if: "+expr+"\nto: { stdout: {} }\n", change)
	env := &flow.Env{Source: "from", Connector: "stdin", Paths: p.Paths, Now: time.Now}
	var m flow.Message
	m.Open(env, &flow.Batch{Records: []flow.Record{{Body: []byte(`{"any":1}`)}}}, 0)
	ok, err := p.Nodes[0].If(&m)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestConstantsAreJSONLiterals(t *testing.T) {
	for name, c := range map[string][2]string{
		"an int":                   {"vars: { a: 5 }", "type(vars.a) == 'int' or body.any == vars.a + 1 - 5"},
		"a date is text":           {"vars: { a: 2026-01-02 }", "body.any == 1 and vars.a == '2026-01-02'"},
		"a quoted number":          {`vars: { a: "5" }`, "body.any == 1 and vars.a == '5'"},
		"a list":                   {"vars: { a: [1, 2] }", "body.any in vars.a"},
		"a map":                    {"vars: { a: { b: { c: 1 } } }", "body.any == vars.a.b.c"},
		"a variable is a number":   {"vars:\n  a: ${LIMIT}", "body.any + 29 == vars.a"},
		"a quoted variable a text": {`vars: { a: "${LIMIT}" }`, "body.any == 1 and vars.a == '30'"},
		"an escaped variable":      {`vars: { a: "$${LIMIT}" }`, "body.any == 1 and len(vars.a) == 8"},
		"a default":                {`vars: { a: "${EMPTY:-x}" }`, "body.any == 1 and vars.a == 'x'"},
		"a bool":                   {"vars: { a: true }", "body.any == 1 and vars.a"},
		"null":                     {"vars: { a: null }", "body.any == (vars.a ?? 1)"},
	} {
		t.Run(name, func(t *testing.T) {
			if !filterIf(t, c[0], `"`+c[1]+`"`, nil) {
				t.Errorf("with %s, %s does not hold", c[0], c[1])
			}
		})
	}
}

func TestSetOverridesAConstant(t *testing.T) {
	for _, c := range []struct{ file, set, expr string }{
		{"5", "7", "body.any + 6 == vars.a"},
		{"false", "true", "body.any == 1 and vars.a"},
		{"[5]", "[1, 2]", "body.any in vars.a"},
		{"other", "word", "body.any == 1 and vars.a == 'word'"},
		{"other", "", "body.any == 1 and vars.a == ''"},
		{"other", "01", "body.any == 1 and vars.a == '01'"},
		{"other", "7", "body.any == 1 and vars.a == '7'"},
		{"null", "7", "body.any + 6 == vars.a"},
	} {
		if !filterIf(t, "vars: { a: "+c.file+" }", `"`+c.expr+`"`, func(o *pipelines.Options) { o.Vars = map[string]string{"a": c.set} }) {
			t.Errorf("after --set a=%s over %s, %s does not hold", c.set, c.file, c.expr)
		}
	}
}

func TestSettingWhatIsNotThereIsAFinding(t *testing.T) {
	opts := options()
	opts.Vars = map[string]string{"limt": "7"}
	text := []byte("name: x\nvars: { limit: 5 }\nfrom: { stdin: {} }\nto: { stdout: {} }\n")
	_, findings := pipelines.Compile("p.yaml", text, opts)
	if all := findings.All(); len(all) != 1 || all[0].Code != diag.UnknownName || all[0].Hint != `did you mean "limit"?` {
		t.Errorf("findings are %+v", all)
	}
	seen := map[string]bool{}
	opts.Vars["limit"], opts.VarSeen = "8", func(name string) { seen[name] = true }
	if p, findings := pipelines.Compile("p.yaml", text, opts); p == nil || !seen["limit"] || seen["limt"] {
		t.Errorf("with VarSeen: %v, seen %v", findings.All(), seen)
	}
}

func TestUndefinedVariablesOfConnectorsDoNotMatterInTests(t *testing.T) {
	opts := options()
	opts.ForTest = true
	text := "name: x\nfrom: { kafka: { brokers: [\"${NOWHERE}\"], topics: [\"${NOTHING}\"], group: \"${NOBODY}\" } }\nto: { kafka: { brokers: [a], topic: \"${NO_TOPIC}\" } }\n"
	if p, findings := pipelines.Compile("p.yaml", []byte(text), opts); p == nil {
		t.Errorf("findings: %+v", findings.All())
	}
	constant := strings.Replace(text, "name: x\n", "name: x\nvars: { a: \"${NOWHERE}\" }\n", 1)
	_, findings := pipelines.Compile("p.yaml", []byte(constant), opts)
	if all := findings.All(); len(all) != 1 || all[0].Code != diag.UndefinedVariable {
		t.Errorf("an undefined constant gives %+v", all)
	}
}

func TestTestsAreReadWithDefaults(t *testing.T) {
	p := compile(t, `
name: x
sources: { a: { stdin: {} }, b: { file: { path: f } } }
sinks: { out: { from: [a, b], kafka: { brokers: [k], topic: t } } }
tests:
  - name: one
    clock: 2026-01-02T03:04:05+01:00
    send:
      - { source: b, key: 5, meta: { n: 1, s: text }, body: { d: 2026-01-02, f: 1.50, "t": "$${X}" }, topic: in, time: 2026-01-01T00:00:00Z }
      - { source: a, text: "" }
      - { source: a, hex: "00 ff" }
      - { source: a, base64: aGk= }
      - { source: a }
    expect:
      out: [{ key: null, topic: t, body: null }, { text: a, ignore: [body.x], match: subset }]
  - name: two
    send: []
    expect: { error: { node: out, code: decode, class: permanent, message: why } }
`, nil)
	one, two := p.Tests[0], p.Tests[1]
	if want := time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC); !one.Clock.Equal(want) {
		t.Errorf("clock is %s", one.Clock)
	}
	if want := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC); !two.Clock.Equal(want) {
		t.Errorf("the default clock is %s", two.Clock)
	}
	var payloads []any
	for _, m := range one.Send {
		if m.Payload == nil {
			payloads = append(payloads, nil)
			continue
		}
		payloads = append(payloads, string(m.Payload))
	}
	if d := cmp.Diff([]any{`{"d":"2026-01-02","f":1.5,"t":"${X}"}`, "", "\x00\xff", "hi", nil}, payloads); d != "" {
		t.Errorf("payloads (-want +got):\n%s", d)
	}
	first := one.Send[0]
	if first.Source != "b" || *first.Key != "5" || first.Topic != "in" || first.Time.Year() != 2026 || len(first.Meta) != 2 {
		t.Errorf("the first message is %+v", first)
	}
	want := one.Expect["out"]
	if !want[0].NoKey || *want[0].Topic != "t" || !want[0].HasBody || want[0].Body != nil {
		t.Errorf("the first expectation is %+v", want[0])
	}
	if string(want[1].Payload) != "a" || !want[1].Subset || want[1].Ignore[0] != "body.x" || want[1].HasBody {
		t.Errorf("the second expectation is %+v", want[1])
	}
	if e := two.Error; e == nil || *e != (pipelines.ExpectedError{Node: "out", Code: "decode", Class: "permanent", Message: "why"}) {
		t.Errorf("the expected error is %+v", e)
	}
}

func TestAFindingOfThePipelinePointsAtItsName(t *testing.T) {
	p := compile(t, "# first\nname:   x\nfrom: { stdin: {} }\nto: { stdout: {} }\n", nil)
	if f := p.Finding(diag.DuplicateName, "taken", ""); f.Path != "p.yaml" || f.Line != 2 || f.Col != 9 || f.Width != 1 {
		t.Errorf("the finding is %+v", f)
	}
}

func TestAMissingFileIsAFinding(t *testing.T) {
	p, findings := pipelines.Load(t.TempDir()+"/nothing.yaml", options())
	if all := findings.All(); p != nil || len(all) != 1 || all[0].Code != diag.Unreadable || !strings.HasSuffix(all[0].Message, "no such file or directory") {
		t.Errorf("findings are %+v", all)
	}
}

func TestNoEnvironmentKnowsNoVariable(t *testing.T) {
	_, findings := pipelines.Compile("p.yaml", []byte(planned), pipelines.Options{Registry: registry()})
	if all := findings.All(); len(all) != 1 || all[0].Code != diag.UndefinedVariable {
		t.Errorf("findings are %+v", all)
	}
}
