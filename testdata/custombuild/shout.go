package main

import (
	"fmt"
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// shoutType is the verb `shout: expression`: the body becomes the text in capitals.
func shoutType() config.NodeType {
	return config.NodeType{Name: "shout", Doc: "Says it in capitals.", New: func() config.NodeConfig { return &shout{} }}
}

// shout is what stands in the file. Its field is an expression, so it is checked by validate like any other.
type shout struct {
	Shout config.Expression `yaml:"shout" required:"true"`
	Marks int               `yaml:"marks" default:"1"`
}

// Build compiles what the file says; it runs once, at load time.
func (c *shout) Build(b *config.Builder) config.Node {
	text, whole := b.Expression(c.Shout, expression.WantText), b.WritePath()
	return config.Node{Processor: flow.ProcessorFunc(func(m *flow.Message, e *flow.Emitter) error {
		v, err := text.Eval(m)
		if err != nil {
			return err
		}
		said := strings.ToUpper(fmt.Sprint(v.Box())) + strings.Repeat("!", c.Marks)
		if err := m.SetBody(whole, value.String(said)); err != nil {
			return err
		}
		e.Emit(0, m)
		return nil
	})}
}
