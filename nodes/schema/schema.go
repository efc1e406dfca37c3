// Package schema is the verb schema: it lets the messages pass whose body follows a JSON Schema, and fails the others.
package schema

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

// Type is the verb schema.
func Type() config.NodeType {
	return config.NodeType{
		Name: "schema",
		Doc:  "Fails messages whose body does not follow a JSON Schema.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Schema is a JSON Schema: a mapping, or a file of JSON or YAML, relative to the pipeline file. A body that does not follow it fails the
	// message with the class permanent and the code schema; the error names the path that fails. In what reads the node, paths and types are
	// checked against the schema when the file is. A missing payload is judged as null.
	Schema config.Schema `yaml:"schema" required:"true"`
}

// judge says what is wrong with a body; nil when nothing is.
type judge interface{ Check(v value.Value) error }

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	if b.Scope.Format == document.Bytes {
		at := b.Value.Scalar()
		if v, ok := b.Value.Lookup("schema"); ok {
			if key, ok := v.Key(); ok {
				at = key
			}
		}
		b.Findings.Add(at.Whole(diag.ConflictingKey, "a schema judges JSON, and body is bytes here", "decode: json reads it as JSON"))
		return config.Node{}
	}
	s := b.Schema(c.Schema)
	if s == nil {
		return config.Node{}
	}
	return config.Node{Processor: &processor{s}, Body: s.Shape()}
}

type processor struct{ schema judge }

// Process implements flow.Processor.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	v, err := m.Body.Get(document.Root)
	if err != nil {
		return flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
	}
	if err := p.schema.Check(v); err != nil {
		return err
	}
	e.Emit(0, m)
	return nil
}
