// Package memory connects pipelines of one process: what one sends to a topic, the others receive. Nothing is kept: a sink waits until
// somebody subscribes, and confirms a message when every pipeline that subscribed has settled it.
package memory

import (
	"context"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Type is the connector memory. Pipelines meet when their registries have a type of the same hub.
func Type(hub *Hub) config.ConnectorType {
	return config.ConnectorType{
		Name:      "memory",
		Doc:       "Connects pipelines of one process.",
		NewSource: func() config.SourceConfig { return &Source{hub: hub} },
		NewSink:   func() config.SinkConfig { return &Sink{hub: hub} },
	}
}

// Source is the configuration of the memory source.
type Source struct {
	// Topic is the name under which sinks send.
	Topic yamldoc.Text `yaml:"topic" required:"true"`

	hub *Hub
}

// BuildSource implements config.SourceConfig.
func (c *Source) BuildSource(b *config.Builder) config.Source {
	topic := c.Topic.Text
	if topic == "" && !c.Topic.Undefined {
		b.Findings.Add(c.Topic.Whole(diag.BadValue, "topic is empty", "write a name"))
	}
	return config.Source{
		Traits: flow.Traits{Keyed: true},
		Open: func(_ context.Context, host flow.Host) (flow.Source, error) {
			return &source{topic: c.hub.topic(topic), lane: flow.NewLane(topic), limits: host.Limits()}, nil
		},
	}
}

// Sink is the configuration of the memory sink.
type Sink struct {
	// Topic is the name under which sources subscribe.
	Topic config.Template `yaml:"topic" required:"true"`

	hub *Hub
}

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	topic := b.Template(c.Topic)
	if topic != nil && topic.Text() == "" && !c.Topic.Text.Undefined {
		b.Findings.Add(c.Topic.Text.Whole(diag.BadValue, "topic is empty", "write a name"))
	}
	return config.Sink{
		Traits:   flow.Traits{Headers: true},
		Preparer: preparer{topic},
		Open:     func(context.Context, flow.Host) (flow.Sink, error) { return &sink{hub: c.hub}, nil },
	}
}

type preparer struct{ topic *expression.Template }

// Prepare implements flow.Preparer.
func (p preparer) Prepare(m *flow.Message, o *flow.Outgoing) error {
	if name, ok := p.topic.Constant(); ok {
		o.Dest = name
		return nil
	}
	name, err := p.topic.Render(m, nil)
	if err != nil {
		return err
	}
	if len(name) == 0 {
		return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the topic is empty")
	}
	o.Dest = string(name)
	return nil
}
