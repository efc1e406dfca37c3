package trial_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/engine/trial"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

// differences compiles a file and runs its only test.
func differences(t *testing.T, file string) []string {
	t.Helper()
	registry := &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(&bytes.Buffer{}, &bytes.Buffer{})}
	p, findings := pipelines.Compile("p.yaml", []byte(file), pipelines.Options{Registry: registry, ForTest: true})
	if p == nil {
		t.Fatalf("findings: %+v\n%s", findings.All(), file)
	}
	r := trial.Run(t.Context(), p, &p.Tests[0])
	if r.Passed != (len(r.Differences) == 0) || r.Pipeline != "x" || r.Path != "p.yaml" || r.Test != "t" || r.Line == 0 {
		t.Errorf("the result is %+v", r)
	}
	return r.Differences
}

// expecting is a pipeline that lets body and key through, with what a test sends and expects at `to`.
func expecting(send, expect string) string {
	return fmt.Sprintf("name: x\nfrom: { stdin: {} }\nto: { kafka: { brokers: [k], topic: \"t-{{ try(body.n, 0) ?? 0 }}\" } }\n"+
		"tests:\n  - name: t\n    send: [%s]\n    expect: { to: [%s] }\n", send, expect)
}

func TestWhatComesIsComparedAsTheFileSays(t *testing.T) {
	for name, c := range map[string]struct {
		send, expect string
		want         []string
	}{
		"equal bodies, whatever their order": {`{ body: { a: 1, b: [x, null] } }`, `{ body: { b: [x, null], a: 1.0 } }`, nil},
		"a part that is not named":           {`{ key: k, meta: { h: 1 }, body: { a: 1 } }`, `{ body: { a: 1 } }`, nil},
		"nothing named":                      {`{ body: { a: 1 } }`, `{}`, nil},
		"another value":                      {`{ body: { a: 1 } }`, `{ body: { a: 2 } }`, []string{"to[0].body.a: expected 2, got 1"}},
		"another type":                       {`{ body: { a: 1 } }`, `{ body: { a: "1" } }`, []string{`to[0].body.a: expected "1", got 1`}},
		"more than expected":                 {`{ body: { a: 1, b: 2 } }`, `{ body: { a: 1 } }`, []string{"to[0].body.b: not expected, got 2"}},
		"less than expected":                 {`{ body: { a: 1 } }`, `{ body: { a: 1, b: 2 } }`, []string{"to[0].body.b: expected 2, it is missing"}},
		"null is not missing":                {`{ body: { a: 1 } }`, `{ body: { a: 1, b: null } }`, []string{"to[0].body.b: expected null, it is missing"}},
		"a subset":                           {`{ body: { a: { b: 1, c: 2 }, d: 3 } }`, `{ body: { a: { b: 1 } }, match: subset }`, nil},
		"a subset with another value":        {`{ body: { a: { b: 1, c: 2 } } }`, `{ body: { a: { b: 2 } }, match: subset }`, []string{"to[0].body.a.b: expected 2, got 1"}},
		"ignored paths":                      {`{ body: { a: 1, l: [{ x: 1 }, { x: 2 }], "b c": 3 } }`, `{ body: { a: 2, l: [{ x: 1 }, { x: 3 }] }, ignore: [body.a, "body.l[1].x", 'body["b c"]'] }`, nil},
		"an ignored body":                    {`{ body: 1 }`, `{ body: 2, ignore: [body] }`, nil},
		"lists of other lengths":             {`{ body: { l: [1] } }`, `{ body: { l: [1, 2] } }`, []string{"to[0].body.l: expected [1,2], got [1]"}},
		"text":                               {`{ text: plain }`, `{ text: plain }`, nil},
		"text, written as hex and base64":    {`{ hex: "68 69" }, { base64: aGk= }`, `{ text: hi }, { text: hi }`, nil},
		"bytes that are no text":             {`{ hex: ff }`, `{ hex: fe }`, []string{"to[0]: expected the payload hex fe, got hex ff"}},
		"no payload":                         {`{ key: k }`, `{ key: k, body: { a: 1 } }`, []string{`to[0]: expected the body {"a":1}, got no payload`}},
		"a body that is no JSON":             {`{ text: plain }`, `{ body: { a: 1 } }`, []string{`to[0]: expected the body {"a":1}, got plain`}},
		"a key":                              {`{ key: 5, body: 1 }`, `{ key: "5" }`, nil},
		"another key":                        {`{ key: a, body: 1 }`, `{ key: b }`, []string{`to[0].key: expected "b", got "a"`}},
		"no key where one is expected":       {`{ body: 1 }`, `{ key: b }`, []string{`to[0].key: expected "b", got none`}},
		"a key where none is expected":       {`{ key: a, body: 1 }`, `{ key: null }`, []string{`to[0].key: expected none, got "a"`}},
		"meta":                               {`{ meta: { a: 1, b: text }, body: 1 }`, `{ meta: { a: 1, b: text, c: null } }`, nil},
		"other meta":                         {`{ meta: { a: 1 }, body: 1 }`, `{ meta: { a: 2, b: 3 } }`, []string{`to[0].meta.a: expected "2", got "1"`, `to[0].meta.b: expected "3", got none`}},
		"meta that should not be there":      {`{ meta: { a: 1 }, body: 1 }`, `{ meta: { a: null } }`, []string{`to[0].meta.a: expected none, got "1"`}},
		"the rendered topic":                 {`{ body: { n: 7 } }`, `{ topic: t-7 }`, nil},
		"another topic":                      {`{ body: { n: 7 } }`, `{ topic: t }`, []string{`to[0].topic: expected "t", got "t-7"`}},
		"too few messages":                   {`{ body: { n: 1 } }`, `{}, {}`, []string{"to: expected 2 messages, got 1\n  missing [1] any message"}},
		"too many messages":                  {`{ body: { n: 1 } }, { body: { n: 2 } }`, `{}`, []string{"to: expected 1 message, got 2\n  got [1] {\"n\":2}"}},
		"the order of messages":              {`{ body: { n: 1 } }, { body: { n: 2 } }`, `{ body: { n: 2 } }, { body: { n: 1 } }`, []string{"to[0].body.n: expected 2, got 1", "to[1].body.n: expected 1, got 2"}},
		"a literal dollar":                   {`{ body: { a: "$${X}" } }`, `{ body: { a: "$${X}" } }`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, differences(t, expecting(c.send, c.expect))); d != "" {
				t.Errorf("differences (-want +got):\n%s", d)
			}
		})
	}
}

func TestHeadersAreThoseThatTheSinkSends(t *testing.T) {
	kafka, amqp := `kafka: { brokers: [k], topic: t }`, `amqp: { url: "amqp://localhost", exchange: e, routing_key: k }`
	for name, c := range map[string]struct {
		from, to, send, expect string
		want                   []string
	}{
		"a record key toward RabbitMQ": {`kafka: { brokers: [k], topics: [t], group: g }`, amqp, `{ key: k1, meta: { a: b, n: 5 }, body: 1 }`,
			`{ key: k1, meta: { millstream-key: k1, a: b, n: 5 } }`, nil},
		"no payload toward RabbitMQ":        {`stdin: {}`, amqp, `{ key: k1 }`, `{ meta: { millstream-tombstone: true } }`, nil},
		"routing headers do not go out":     {`stdin: {}`, amqp, `{ meta: { CC: elsewhere }, body: 1 }`, `{ meta: { CC: null, millstream-key: null } }`, nil},
		"the type of a header toward Kafka": {`stdin: {}`, kafka, `{ meta: { n: 5, a: b }, body: 1 }`, `{ meta: { n: 5, millstream-ht-n: int, a: b, millstream-ht-a: null } }`, nil},
		"what the message had and the sink leaves out": {`stdin: {}`, amqp, `{ meta: { CC: elsewhere }, body: 1 }`, `{ meta: { CC: elsewhere } }`,
			[]string{`to[0].meta.CC: expected "elsewhere", got none`}},
	} {
		t.Run(name, func(t *testing.T) {
			file := fmt.Sprintf("name: x\nfrom: { %s }\nto: { %s }\ntests:\n  - name: t\n    send: [%s]\n    expect: { to: [%s] }\n", c.from, c.to, c.send, c.expect)
			if d := cmp.Diff(c.want, differences(t, file)); d != "" {
				t.Errorf("differences (-want +got):\n%s", d)
			}
		})
	}
}

const twoSources = `
name: x
sources: { a: { stdin: {} }, b: { file: { path: nowhere } } }
nodes:
  mark: { from: [a, b], transform: { body.by: source.name, body.at: now() } }
  kind: { from: mark, route: { big: body.n > 10, small: else } }
sinks:
  big: { from: kind.big, stdout: {} }
  small: { from: kind.small, file: { path: small.ndjson } }
  dead: { from: small.errors, file: { path: dead.ndjson } }
on_error: { then: %s }
tests:
  - name: t
    %s
`

func TestTheWholeGraphRuns(t *testing.T) {
	for name, c := range map[string]struct {
		then, test string
		want       []string
	}{
		"messages enter in their order, whatever their source": {"dead", `send: [{ source: b, body: { n: 1 } }, { source: a, body: { n: 2 } }, { source: b, body: { n: 3 } }]
    expect: { small: [{ body: { n: 1, by: b }, match: subset }, { body: { n: 2, by: a }, match: subset }, { body: { n: 3, by: b }, match: subset }] }`, nil},
		"the clock stands still": {"dead", `clock: 2026-01-02T03:04:05Z
    send: [{ source: a, body: { n: 11 } }]
    expect: { big: [{ body: { n: 11, by: a, at: "2026-01-02T03:04:05Z" } }] }`, nil},
		"a sink that is not named must have got nothing": {"dead", `send: [{ source: a, body: { n: 1 } }]
    expect: {}`, []string{"small: expected 0 messages, got 1\n  got [0] {\"n\":1,\"by\":\"a\",\"at\":\"2000-01-01T00:00:00Z\"}"}},
		"a dead letter is a message to its sink": {"dead", `send: [{ source: a, text: oops }]
    expect: { dead: [{ body: { payload: oops, error: { node: mark, code: decode }, pipeline: x, attempts: 1 }, match: subset }] }`, nil},
		"an error that nobody settles": {"pause", `send: [{ source: a, body: { n: text } }]
    expect: { error: { node: kind, code: expression, class: permanent, message: cannot take } }`, nil},
		"a stop is no other thing": {"stop", `send: [{ source: a, body: { n: text } }]
    expect: { error: { node: kind } }`, nil},
		"what came before an error has been delivered, what comes after has not": {"pause", `send: [{ source: a, body: { n: 1 } }, { source: a, text: oops }, { source: a, body: { n: 2 } }]
    expect: { small: [{ body: { n: 1 }, match: subset }], error: { code: decode } }`, nil},
		"an expected error that does not come": {"pause", `send: [{ source: a, body: { n: 1 } }]
    expect: { error: {}, small: [{}] }`, []string{"error: expected a failure that no on_error handles, and there was none"}},
		"an error that is settled is none": {"drop", `send: [{ source: a, text: oops }]
    expect: {}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, differences(t, fmt.Sprintf(twoSources, c.then, c.test))); d != "" {
				t.Errorf("differences (-want +got):\n%s", d)
			}
		})
	}
}
