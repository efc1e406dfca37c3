package trial_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asking is a pipeline with a call, and a test of it.
func asking(onError, test string) string {
	return `name: x
from: { stdin: {} }
steps:
  - name: enrich
    call:
      http: { url: "https://api.example.com/{{ body.id }}" }
      into: tmp.answer
` + onError + `  - transform:
      body.status: try(tmp.answer.status, "none")
      body.answer: tmp.answer?.body
to: { stdout: {} }
tests:
  - name: t
` + test
}

const retry = "    on_error: { retry: { max: 3, backoff: 1h..2h }, then: continue }\n"

func TestCallsAreAnsweredByTheTest(t *testing.T) {
	for name, c := range map[string]struct {
		onError, test string
		want          []string
	}{
		"with a status and a body": {"", `
    send: [{ body: { id: 1 } }]
    stub: { enrich: [{ status: 201, body: { x: 1 } }] }
    expect: { to: [{ body: { id: 1, status: 201, answer: { x: 1 } } }] }`, nil},
		"with 200 where there is no status, and no body": {"", `
    send: [{ body: { id: 1 } }]
    stub: { enrich: [{}] }
    expect: { to: [{ body: { id: 1, status: 200, answer: null } }] }`, nil},
		"one after another, the last one again and again": {"", `
    send: [{ body: { id: 1 } }, { body: { id: 2 } }, { body: { id: 3 } }]
    stub: { enrich: [{ body: a }, { body: b }] }
    expect: { to: [{ body: { id: 1, status: 200, answer: a } }, { body: { id: 2, status: 200, answer: b } }, { body: { id: 3, status: 200, answer: b } }] }`, nil},
		"with text": {"", `
    send: [{ body: { id: 1 } }]
    stub: { enrich: [{ headers: { Content-Type: text/plain }, body: "1" }] }
    expect: { to: [{ body: { id: 1, status: 200, answer: "1" } }] }`, nil},
		"a retry gets the next answer, and no time passes": {retry, `
    send: [{ body: { id: 1 } }]
    stub: { enrich: [{ error: transient }, { status: 503 }, { body: late }] }
    expect: { to: [{ body: { id: 1, status: 200, answer: late } }] }`, nil},
		"retries come to an end": {retry, `
    send: [{ body: { id: 1 } }]
    stub: { enrich: [{ error: transient }] }
    expect: { to: [{ body: { id: 1, status: none, answer: null } }] }`, nil},
		"a refusal is not tried again": {retry, `
    send: [{ body: { id: 1 } }]
    stub: { enrich: [{ error: permanent }, { body: late }] }
    expect: { to: [{ body: { id: 1, status: none, answer: null } }] }`, nil},
		"what nobody handles is the error of the test": {"", `
    send: [{ body: { id: 1 } }]
    stub: { enrich: [{ status: 404 }] }
    expect: { error: { node: enrich, code: refused, class: permanent, message: api.example.com } }`, nil},
		"a call without a stub fails the test whatever on_error says": {retry, `
    send: [{ body: { id: 1 } }]
    expect: { to: [{ body: { id: 1, status: none, answer: null } }] }`,
			[]string{"enrich asks GET https://api.example.com/1, and tests have no network: write stub: { enrich: [{ status: 200, body: { … } }] } beside send"}},
		"retries without end are told": {"", `
    send: [{ body: { id: 1 } }]
    stub: { enrich: [{ error: transient }] }
    expect: {}`,
			[]string{"something was tried again 1000 times, and nothing would change that: give on_error a retry with max"}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if diff := cmp.Diff(c.want, differences(t, asking(c.onError, strings.TrimPrefix(c.test, "\n")))); diff != "" {
				t.Error(diff)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestAThrottleDoesNotWaitInATest(t *testing.T) {
	const file = `name: x
from: { stdin: {} }
steps:
  - throttle: { rate: 1/h, over: OVER }
to: { drop: {} }
sinks:
  over: { drop: {} }
on_error: { then: over }
tests:
  - name: t
    send: [{ body: 1 }, { body: 2 }]
    expect: EXPECT
`
	with := func(over, expect string) string {
		return strings.NewReplacer("OVER", over, "EXPECT", expect).Replace(file)
	}
	if d := differences(t, with("wait", "{ to: [{ body: 1 }, { body: 2 }] }")); d != nil {
		t.Errorf("wait: %q", d)
	}
	if d := differences(t, with("error", "{ to: [{ body: 1 }], over: [{ body: 2, meta: { millstream-error-code: throttled } }] }")); d != nil {
		t.Errorf("error: %q", d)
	}
}
