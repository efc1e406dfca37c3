// Package sample is the verb sample: it keeps a part of the messages and filters the others. It looks at no time and keeps no state.
package sample

import (
	"math"
	"sync/atomic"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Type is the verb sample.
func Type() config.NodeType {
	return config.NodeType{
		Name: "sample",
		Doc:  "Keeps a part of the messages.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Sample says which messages are kept: every n-th, or a ratio of them. The others count as filtered.
	Sample Options `yaml:"sample" required:"true"`
}

// Options are the options of sample.
type Options struct {
	// Every keeps the first of so many messages, counted over the pipeline since it started.
	Every int64 `yaml:"every"`
	// Ratio is the part that is kept, such as 0.1. Which messages that are is decided by the XXH64 hash of the id, or of what by gives: the
	// same after a restart, on every machine, and when a message comes again.
	Ratio float64 `yaml:"ratio"`
	// By makes messages for which it gives the same text stay together: all of them are kept, or none. Numbers count by their decimal
	// text, so that 5 and "5" are the same. What gives no text is an error of the message.
	By config.Expression `yaml:"by"`
}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	o := &c.Sample
	settings, _ := b.Value.Lookup("sample")
	every, ratio, by := written(settings, "every"), written(settings, "ratio"), written(settings, "by")
	switch {
	case every == nil && ratio == nil:
		if settings != nil && !settings.Partial() {
			settings.Finding(b.Findings, diag.MissingKey, "sample does not say what it keeps", "write every: 10, or ratio: 0.1")
		}
	case every != nil && ratio != nil:
		ratio.Finding(b.Findings, diag.ConflictingKey, "sample takes every or ratio, and this one has both", "leave one of them out")
	case every != nil && by != nil:
		by.Finding(b.Findings, diag.ConflictingKey, "by belongs to ratio: every counts whatever comes", "write ratio: instead of every:, or leave by out")
	case every != nil && o.Every < 1:
		every.Finding(b.Findings, diag.BadValue, "every must be 1 or more", "every: 10 keeps one message of ten")
	case ratio != nil && !(o.Ratio > 0 && o.Ratio <= 1):
		ratio.Finding(b.Findings, diag.BadValue, "ratio must be more than 0 and at most 1", "ratio: 0.1 keeps one message of ten")
	}
	if every != nil {
		return config.Node{Processor: &counter{every: o.Every}, Body: b.Scope.Body}
	}
	return config.Node{Processor: &chooser{by: b.Expression(o.By, expression.WantText), ratio: o.Ratio}, Body: b.Scope.Body}
}

// written is the value of a key that stands in the file; nil when there is none.
func written(settings *yamldoc.Value, key string) *yamldoc.Value {
	if settings == nil {
		return nil
	}
	v, _ := settings.Lookup(key)
	return v
}

// counter keeps the first of every so many messages.
type counter struct {
	every int64
	seen  atomic.Int64
}

// Process implements flow.Processor.
func (c *counter) Process(m *flow.Message, e *flow.Emitter) error {
	if (c.seen.Add(1)-1)%c.every == 0 {
		e.Emit(0, m)
	}
	return nil
}

// chooser keeps the messages whose hash is small.
type chooser struct {
	by    *expression.Program
	ratio float64
}

// Process implements flow.Processor.
func (c *chooser) Process(m *flow.Message, e *flow.Emitter) error {
	text := m.ID()
	if c.by != nil {
		v, err := c.by.Eval(m)
		if err != nil {
			return err
		}
		text = flow.Header{Value: v}.Text()
	}
	if kept(expression.Hash([]byte(text)), c.ratio) {
		e.Emit(0, m)
	}
	return nil
}

// kept tells whether a hash is in the lowest part of all hashes.
func kept(hash uint64, ratio float64) bool {
	return ratio >= 1 || hash < uint64(math.Ldexp(ratio, 64))
}
