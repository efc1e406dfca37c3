// Package generate is the source that makes messages of an expression, for trying things out and for measuring.
package generate

import (
	"context"
	"errors"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Type is the connector generate.
func Type() config.ConnectorType {
	return config.ConnectorType{
		Name:      "generate",
		Doc:       "Makes messages of an expression.",
		NewSource: func() config.SourceConfig { return &Source{} },
	}
}

// Source is the configuration of generate.
type Source struct {
	// Body is the payload of each message; besides vars and functions it sees n, which counts the messages from 0. When it fails, the
	// message fails at the source.
	Body config.Expression `yaml:"body" required:"true"`
	// Count is how many messages are made; without it the source never ends.
	Count *int64 `yaml:"count"`
	// Rate is how many messages are made in a time at most; without it as many as the pipeline takes.
	Rate config.Rate `yaml:"rate"`
	// Seed is kept for functions that draw random numbers; as long as there is none that could be repeated, writing it is a finding.
	Seed *yamldoc.Value `yaml:"seed"`
}

// BuildSource implements config.SourceConfig.
func (c *Source) BuildSource(b *config.Builder) config.Source {
	if c.Seed != nil {
		c.Seed.Finding(b.Findings, diag.NotAvailable, "seed has nothing to act on: no function gives random numbers that could be repeated",
			"remove it; n makes values that are the same in each run, such as n % 100")
	}
	if c.Count != nil && *c.Count < 0 {
		place, _ := b.Value.Lookup("count")
		place.Finding(b.Findings, diag.BadValue, "count must not be negative", "leave it out for messages without end")
	}
	scope := b.Scope
	scope.NoMessage, scope.Counter = true, true
	g := generator{
		body: b.ExpressionIn(c.Body, expression.WantAny, scope), left: -1, interval: c.Rate.Interval(),
		raw: b.Scope.Format != document.JSON, topic: b.Name,
	}
	if c.Count != nil {
		g.left = *c.Count
	}
	return config.Source{
		Traits: flow.Traits{Finite: c.Count != nil},
		Open: func(_ context.Context, host flow.Host) (flow.Source, error) {
			return newSource(g, host.Limits()), nil
		},
	}
}

// generator is what makes the messages; a copy of it belongs to each opened source.
type generator struct {
	body     *expression.Program
	left     int64 // negative without end
	interval time.Duration
	raw      bool // strings and bytes go out as they are, not as JSON
	topic    string
	n        int64
}

// append makes the next message's payload behind dst.
func (g *generator) append(dst []byte) ([]byte, error) {
	if !g.raw {
		dst, err := g.body.AppendJSON(dst, nil, expression.Bindings{N: g.n})
		return dst, writeError(err)
	}
	v, err := g.body.EvalWith(nil, expression.Bindings{N: g.n})
	if err != nil {
		return dst, err
	}
	switch v.Kind() {
	case value.KindString:
		return append(dst, v.Str()...), nil
	case value.KindBytes:
		return append(dst, v.BytesValue()...), nil
	default:
		dst, err = value.AppendJSON(dst, v)
		return dst, writeError(err)
	}
}

// writeError says of an error that does not come from the evaluation what it is.
func writeError(err error) error {
	var failed *flow.Error
	if err == nil || errors.As(err, &failed) {
		return err
	}
	return flow.Errorf(flow.Permanent, flow.CodeEncode, "write the body as JSON: %w", err)
}
