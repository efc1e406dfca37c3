// Package drop is the sink that loses messages on purpose: it confirms everything and sends nothing. The engine counts what it gets.
package drop

import (
	"context"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// Type is the connector drop.
func Type() config.ConnectorType {
	return config.ConnectorType{
		Name:    "drop",
		Doc:     "Counts messages and lets them go.",
		NewSink: func() config.SinkConfig { return &Sink{} },
	}
}

// Sink is the configuration of drop. It has no options.
type Sink struct{}

// BuildSink implements config.SinkConfig.
func (*Sink) BuildSink(*config.Builder) config.Sink {
	return config.Sink{
		// Everything is lost here by the file's word, headers too: no need to pack them into the payload first.
		Traits:   flow.Traits{Headers: true, Discards: true},
		Preparer: sink{},
		Open:     func(context.Context, flow.Host) (flow.Sink, error) { return sink{}, nil },
	}
}

type sink struct{}

// Prepare implements flow.Preparer.
func (sink) Prepare(*flow.Message, *flow.Outgoing) error { return nil }

// Send implements flow.Sink.
func (sink) Send(_ context.Context, outs []*flow.Outgoing, done func()) {
	for _, o := range outs {
		o.Err = nil
	}
	done()
}

// Close implements flow.Sink.
func (sink) Close(context.Context) error { return nil }
