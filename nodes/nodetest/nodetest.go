// Package nodetest builds nodes from the text of a pipeline file and runs messages through them, for the tests of nodes. It is not for
// production code.
package nodetest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Clock is the time that now() gives in these tests.
var Clock = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Node is a built node with what its messages share.
type Node struct {
	config.Node
	Env *flow.Env
}

// Build decodes the verb and its options from text and builds the node. The findings come back as "line:col code: message"; with any of
// them the node is nil.
func Build(t testing.TB, nodeType config.NodeType, text string) (*Node, []string) {
	t.Helper()
	return BuildFor(t, nodeType, document.JSON, text)
}

// BuildFor is Build for bodies of another format.
func BuildFor(t testing.TB, nodeType config.NodeType, format document.Format, text string) (*Node, []string) {
	t.Helper()
	list, paths := &diag.List{}, document.NewPaths()
	n := &Node{Env: &flow.Env{Source: "in", Connector: "test", Format: format, Paths: paths, Now: func() time.Time { return Clock }}}
	doc := yamldoc.Parse("test.yaml", []byte(text), list)
	if doc != nil {
		cfg := nodeType.New()
		if yamldoc.Decode(doc.Root(), cfg, &yamldoc.Context{Findings: list}) {
			n.Node = cfg.Build(&config.Builder{
				Findings: list, Value: doc.Root(), Name: "node", Pipeline: "pipeline",
				Scope: expression.Scope{Paths: paths, Format: format, Vars: map[string]any{"blocked": []any{"XX"}, "limit": 30}},
			})
		}
	}
	paths.Freeze()
	var findings []string
	for _, f := range list.All() {
		findings = append(findings, place(f)+" "+string(f.Code)+": "+f.Message)
	}
	if findings != nil {
		return nil, findings
	}
	return n, nil
}

func place(f diag.Finding) string { return strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Col) }

// Must is Build for a text without findings.
func Must(t testing.TB, nodeType config.NodeType, text string) *Node {
	t.Helper()
	n, findings := Build(t, nodeType, text)
	if findings != nil {
		t.Fatalf("findings: %q", findings)
	}
	return n
}

// Message makes a message with a body.
func (n *Node) Message(body string) *flow.Message {
	return n.Open(flow.Record{Body: []byte(body), Topic: "topic", Offset: 7, Partition: flow.NoPartition, Attempt: 1})
}

// Open makes the message of a record.
func (n *Node) Open(r flow.Record) *flow.Message {
	m := &flow.Message{}
	m.Open(n.Env, &flow.Batch{Records: []flow.Record{r}, Arrived: Clock.UnixNano()}, 0)
	return m
}

// Result is what became of a message.
type Result struct {
	// Out are the payloads that left, Ports the ways they took, Messages the messages themselves.
	Out      []string
	Ports    []flow.Port
	Messages []*flow.Message
	// Settled is flow.Open unless the node ended the message.
	Settled flow.End
	Err     error
}

// Process runs m through the node as the engine does: after an error, the writes are rolled back and nothing is emitted.
func (n *Node) Process(t testing.TB, m *flow.Message) Result {
	t.Helper()
	e := &flow.Emitter{}
	e.Bind(context.Background(), nil)
	e.Reset(m)
	state := m.Mark()
	if err := n.Processor.Process(m, e); err != nil {
		m.Rollback(state)
		return Result{Err: err}
	}
	res := Result{Settled: e.Settled}
	for _, out := range e.Emitted {
		res.Messages, res.Ports = append(res.Messages, out.Message), append(res.Ports, out.Port)
		res.Out = append(res.Out, Payload(t, out.Message))
	}
	return res
}

// Payload is what a sink would write of m; "(none)" without a payload.
func Payload(t testing.TB, m *flow.Message) string {
	t.Helper()
	if !m.Body.Written() {
		if m.Payload() == nil {
			return "(none)"
		}
		return string(m.Payload())
	}
	if m.Body.None() {
		return "(none)"
	}
	b, err := m.Body.AppendTo(nil)
	if err != nil {
		t.Fatalf("write the body: %v", err)
	}
	return string(b)
}
