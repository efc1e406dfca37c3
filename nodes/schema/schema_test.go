package schema_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/nodes/nodetest"
	"github.com/millstream/millstream/nodes/schema"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

const order = `schema:
  type: object
  required: [id, total]
  properties:
    id: { type: string }
    total: { type: number, minimum: 0 }
    lines: { type: array, items: { type: object, required: [sku] } }
`

func TestABodyThatFollowsTheSchemaPassesAsItCame(t *testing.T) {
	n := nodetest.Must(t, schema.Type(), order)
	const body = `{"total": 1.50,  "id":"a", "more":[1]}`
	if res := n.Process(t, n.Message(body)); res.Err != nil || len(res.Out) != 1 || res.Out[0] != body {
		t.Errorf("%+v", res)
	}
}

func TestABodyThatDoesNotFailsWithThePath(t *testing.T) {
	n := nodetest.Must(t, schema.Type(), order)
	for body, want := range map[string]string{
		`{"id":"a"}`: "body lacks total", `{"id":1,"total":2}`: "body.id is number, and must be string", `{"id":"a","total":-1}`: "body.total must be at least 0",
		`{"id":"a","total":1,"lines":[{"sku":"x"},{}]}`: "body.lines[1] lacks sku", ``: "body is null, and must be object",
	} {
		var e *flow.Error
		if res := n.Process(t, n.Message(body)); !errors.As(res.Err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeSchema || e.Message != want || len(res.Out) != 0 {
			t.Errorf("%s: %+v", body, res)
		}
	}
	var e *flow.Error
	if res := n.Process(t, n.Message(`{"id":`)); !errors.As(res.Err, &e) || e.Code != flow.CodeDecode {
		t.Errorf("%+v", res)
	}
}

// findings compiles a pipeline that lies in dir.
func findings(t *testing.T, dir, text string) (*pipelines.Program, string) {
	t.Helper()
	registry := &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(&bytes.Buffer{}, &bytes.Buffer{})}
	path := filepath.Join(dir, "p.yaml")
	program, list := pipelines.Compile(path, []byte(text), pipelines.Options{Registry: registry})
	var all []string
	for _, f := range list.All() {
		all = append(all, string(f.Code)+": "+f.Message)
	}
	return program, strings.Join(all, "\n")
}

func TestWhatComesBehindIsCheckedAgainstTheSchema(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "order.json"), []byte(`{"type":"object","additionalProperties":false,"properties":{"total":{"type":"number"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{"body.total > 1": "", "body.totl > 1": "totl", `body.total == "x"`: "type"} {
		_, got := findings(t, dir, "name: x\nfrom: { stdin: {} }\nsteps:\n  - schema: order.json\n  - filter: "+expression+"\nto: { drop: {} }\n")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", expression, got)
		}
	}
}

func TestAChangeOfTheFileIsAChangeOfTheNode(t *testing.T) {
	dir := t.TempDir()
	var hashes []string
	for _, text := range []string{`{"type":"object"}`, `{"type":"array"}`, `{"type":"object"}`} {
		if err := os.WriteFile(filepath.Join(dir, "s.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, got := findings(t, dir, "name: x\nfrom: { stdin: {} }\nsteps:\n  - schema: s.json\nto: { drop: {} }\n")
		if p == nil {
			t.Fatal(got)
		}
		hashes = append(hashes, p.Hash+p.Nodes[0].Hash)
		if len(hashes) == 2 && (p.Hash == hashes[0][:len(p.Hash)] || p.Nodes[0].Hash == hashes[0][len(p.Hash):]) {
			t.Error("the program or the node has the same hash with another schema")
		}
	}
	if hashes[0] != hashes[2] {
		t.Error("the same file gives another hash")
	}
}

func TestMistakesInASchemaAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"schema: {}\n": "", "schema: { type: objekt }\n": "bad-schema", "schema: gone.json\n": "bad-schema", "schema: [1]\n": "wrong-type", "{}\n": "missing-key",
	} {
		_, got := nodetest.Build(t, schema.Type(), text)
		if want == "" && got != nil || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("%q: got %q, want %s", text, got, want)
		}
	}
	_, got := nodetest.BuildFor(t, schema.Type(), document.Bytes, "schema: { type: string }\n")
	if len(got) != 1 || !strings.Contains(got[0], "1:1 conflicting-key") {
		t.Errorf("of bytes: %q", got)
	}
}
