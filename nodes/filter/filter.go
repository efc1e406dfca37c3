// Package filter is the verb filter: it keeps the messages for which an expression is true.
package filter

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// Type is the verb filter.
func Type() config.NodeType {
	return config.NodeType{
		Name: "filter",
		Doc:  "Keeps the messages for which an expression is true.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Filter is the condition. A message for which it is false ends here and counts as filtered; a result that is neither true nor false is
	// an error of the message, never a silent drop.
	Filter config.Expression `yaml:"filter" required:"true"`
}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	return config.Node{Processor: &processor{keep: b.Expression(c.Filter, expression.WantBool)}, Body: b.Scope.Body}
}

type processor struct{ keep *expression.Program }

// Process implements flow.Processor.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	keep, err := p.keep.Test(m)
	if err != nil {
		return err
	}
	if keep {
		e.Emit(0, m)
	}
	return nil
}
