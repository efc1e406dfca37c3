package trial_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

func TestABodyIsSentAndReadAsTheCodecsOfTheFileSay(t *testing.T) {
	const head, sinks = "name: x\nfrom: ", "\ntests:\n  - name: t\n    send: [SEND]\n    expect: { to: [EXPECT] }\n"
	for name, c := range map[string]struct{ file, send, expect, want string }{
		"rows of csv": {
			`{ stdin: {}, decode: csv }` + "\nsteps: [{ split: body }]\nto: { stdout: {}, encode: json }", `{ body: [{ a: "1" }] }`, `{ body: { a: "1" } }`, "",
		},
		"csv as text, with its header": {
			`{ stdin: {}, decode: { csv: { types: { a: int } } } }` + "\nsteps: [{ split: body }]\nto: { stdout: {}, encode: json }", `{ text: "a\n5" }`, `{ body: { a: 5 } }`, "",
		},
		"a row of csv as it came": {
			`{ stdin: {}, decode: csv }` + "\nto: { stdout: {} }", `{ body: [{ b: x, a: "1" }] }`, `{ text: "1,x" }`, "",
		},
		"a row of csv that is written": {
			`{ stdin: {} }` + "\nto: { stdout: {}, encode: { csv: { columns: [b, a] } } }", `{ body: { a: 1, b: x } }`, `{ text: "x,1" }, { body: { b: x, a: "1" } }`, "expected 2 messages",
		},
		"msgpack": {
			`{ memory: { topic: a }, decode: msgpack }` + "\nto: { stdout: {}, encode: json }", `{ body: { a: 1 } }`, `{ body: { a: 1 } }`, "",
		},
		"what is wrapped": {
			`{ memory: { topic: a }, decode: [gzip, json] }` + "\nto: { stdout: {}, encode: [json, gzip, base64] }", `{ body: { a: 1 } }`, `{ body: { a: 1 } }`, "",
		},
		"another value in what is wrapped": {
			`{ memory: { topic: a }, decode: [gzip, json] }` + "\nto: { stdout: {}, encode: [json, gzip, base64] }", `{ body: { a: 1 } }`, `{ body: { a: 2 } }`,
			"to[0].body.a: expected 2, got 1",
		},
		"a format that no encode says": {
			`{ memory: { topic: a }, decode: cbor }` + "\nto: { memory: { topic: b } }", `{ body: { a: 1 } }`, `{ body: { a: 1 } }`, "",
		},
		"text": {`{ stdin: {}, decode: text }` + "\nto: { stdout: {} }", `{ body: "a b" }`, `{ body: "a b" }, `, ""},
		"JSON on several lines": {
			`{ memory: { topic: a } }` + "\nto: { stdout: {}, encode: json }", `{ text: "{\n \"b\": 1.50,\n \"a\": 18446744073709551615 }" }`, `{ text: "{\"b\":1.50,\"a\":18446744073709551615}" }`, "",
		},
		"JSON on several lines that nobody said to write": {
			`{ memory: { topic: a } }` + "\nto: { stdout: {} }", `{ text: "{\n}" }`, `{ text: "{}" }`, "encode: json writes JSON on one line",
		},
	} {
		got := strings.Join(differences(t, strings.NewReplacer("SEND", c.send, "EXPECT", c.expect).Replace(head+c.file+sinks)), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWhatNoLineAndNoSourceCanHoldIsFound(t *testing.T) {
	for file, want := range map[string]string{
		"from: { generate: { body: '1', count: 1 } }\nto: { stdout: {}, encode: msgpack }":                                              "p.yaml:3:27 msgpack makes bytes",
		"from: { generate: { body: '1', count: 1 } }\nto: { file: { path: o }, encode: [json, gzip] }":                                  "p.yaml:3:41 gzip makes bytes",
		"from: { generate: { body: '1', count: 1 } }\nto: { file: { path: 'o/{{ id }}', framing: whole }, encode: [json, gzip] }":       "",
		"from: { generate: { body: '1', count: 1 } }\nto: { stdout: {}, encode: [json, gzip, base64] }":                                 "",
		"from: { generate: { body: '1', count: 1 } }\nto: { stdout: {}, encode: yaml }":                                                 "p.yaml:3:27 yaml makes text which has several lines",
		"from: { generate: { body: '1', count: 1 } }\nto: { stdout: {}, encode: bytes }":                                                "",
		"from: { generate: { body: '{a: 1}', count: 1 } }\nto: { file: { path: o }, encode: csv }":                                      "p.yaml:3:34 csv begins with a header line",
		"from: { generate: { body: '{a: 1}', count: 1 } }\nto: { file: { path: o }, encode: { csv: { columns: [a] } } }":                "",
		"from: { generate: { body: '{a: 1}', count: 1 } }\nto: { file: { path: o }, encode: { csv: { header: [a] } } }":                 "",
		"from: { generate: { body: '{a: 1}', count: 1 } }\nto: { stdout: {}, encode: [csv, base64] }":                                   "",
		"from: { stdin: {}, decode: [gzip, json] }\nto: { stdout: {} }":                                                                 "p.yaml:2:29 gzip makes bytes",
		"from: { stdin: {}, decode: cbor }\nto: { stdout: {} }":                                                                         "p.yaml:2:28 cbor makes bytes",
		"from: { file: { path: f, framing: whole }, decode: cbor }\nto: { stdout: {} }":                                                 "",
		"from: { stdin: {}, decode: [base64, csv] }\nto: { stdout: {} }":                                                                "p.yaml:2:37 the first line is the header, and lines are base64 here",
		"from: { stdin: {}, decode: [base64, { csv: { header: [a] } }] }\nto: { stdout: {} }":                                           "",
		"from: { stdin: {}, decode: text }\nto: { stdout: {} }\ntests: [{ name: t, send: [{ body: { a: 1 } }], expect: { to: [{}] } }]": "p.yaml:4:35 no payload that the source decodes gives this body",
	} {
		registry := &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(&bytes.Buffer{}, &bytes.Buffer{})}
		_, findings := pipelines.Compile("p.yaml", []byte("name: x\n"+file+"\n"), pipelines.Options{Registry: registry})
		var got []string
		for _, f := range findings.All() {
			got = append(got, fmt.Sprintf("%s:%d:%d %s", f.Path, f.Line, f.Col, f.Message))
		}
		all := strings.Join(got, "; ")
		if len(got) > 1 || want == "" && all != "" || want != "" && !strings.HasPrefix(all, want) {
			t.Errorf("%s\n%s, want %s", file, all, want)
		}
	}
}
