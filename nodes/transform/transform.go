// Package transform is the verb transform: an ordered mapping of what is written to the expressions that give the values.
package transform

import (
	"fmt"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Type is the verb transform.
func Type() config.NodeType {
	return config.NodeType{
		Name: "transform",
		Doc:  "Writes fields of the body, metadata, key and time.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Transform assigns top to bottom; each line sees the ones above it. On the left stand body, body.a.b, body["a.b"], body.list[0].x,
	// body.list[*].x, meta.x, tmp.x, key or time; on the right an expression, or a mapping or list of expressions. delete removes what
	// is named on the left, keep leaves it as it is. When a line fails, none of them counts.
	Transform Lines `yaml:"transform" required:"true"`
}

// Lines are the lines of a transform in their order.
type Lines struct{ list []line }

type line struct {
	key   yamldoc.Scalar
	right source
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (ls *Lines) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	if v.Kind() != yamldoc.KindMapping {
		c.WrongType(v, "a mapping of what is written to expressions")
		return
	}
	if key, ok := v.Merge(); ok {
		c.Findings.Add(key.Whole(diag.MergeInOrdered, "<< has no place in a transform: the order of its lines counts", "write the lines out"))
		return
	}
	entries := v.Entries()
	if len(entries) == 0 && !v.Partial() {
		v.Finding(c.Findings, diag.MissingKey, "the transform is empty", "write body.field: expression, one a line, or leave the step out")
		return
	}
	for _, e := range entries {
		l := line{key: e.Key}
		l.right.read(e.Value, c)
		ls.list = append(ls.list, l)
	}
}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	p := &processor{}
	for i := range c.Transform.list {
		w := build(b, &c.Transform.list[i])
		if w != nil {
			p.lines = append(p.lines, compiled{target: c.Transform.list[i].key.Text, write: w})
		}
	}
	return config.Node{Processor: p, Body: b.Scope.Body}
}

// writer is one compiled line.
type writer interface {
	write(m *flow.Message) error
}

type compiled struct {
	target string
	write  writer
}

type processor struct{ lines []compiled }

// Process implements flow.Processor. The engine takes the writes of a transform that fails back.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	for i := range p.lines {
		if err := p.lines[i].write.write(m); err != nil {
			return fmt.Errorf("%s: %w", p.lines[i].target, err)
		}
	}
	e.Emit(0, m)
	return nil
}
