package cloudevent_test

import (
	"bytes"
	"testing"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/engine/trial"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

func TestAnEventOfTextIsReadAsJSONFromThereOn(t *testing.T) {
	const file = `name: x
from: { stdin: {}, decode: text }
steps:
  - cloudevent: { type: t, source: /s }
  - transform:
      body.size: len(body.data)
      body.time: delete
to: { stdout: {} }
tests:
  - name: t
    send: [{ text: hello }]
    expect: { to: [{ body: { specversion: "1.0", id: "stdin:@0", type: t, source: /s, datacontenttype: text/plain, data: hello, size: 5 } }] }
`
	registry := &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(&bytes.Buffer{}, &bytes.Buffer{})}
	p, findings := pipelines.Compile("p.yaml", []byte(file), pipelines.Options{Registry: registry, ForTest: true})
	if p == nil {
		t.Fatalf("%+v", findings.All())
	}
	if r := trial.Run(t.Context(), p, &p.Tests[0]); !r.Passed {
		t.Errorf("%q", r.Differences)
	}
}
