// Package memory connects pipelines of one process: what one sends to a topic, the others receive. Nothing is kept: a sink waits until
// somebody subscribes, and confirms a message when every pipeline that subscribed has settled it.
package memory

import (
	"context"
	"fmt"
	"path"

	"github.com/millstream/millstream/connectors/transport"
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
	transport.CheckSecret(b, &c.Topic)
	if topic == "" && !c.Topic.Undefined {
		b.Findings.Add(c.Topic.Whole(diag.BadValue, "topic is empty", "write a name"))
	}
	return config.Source{
		Traits: flow.Traits{Keyed: true, Local: local(topic)},
		Open: func(_ context.Context, host flow.Host) (flow.Source, error) {
			return &source{topic: c.hub.topic(topic), lane: flow.NewLane(topic), limits: host.Limits()}, nil
		},
	}
}

// Sink is the configuration of the memory sink.
type Sink struct {
	// Topic is the name under which sources subscribe.
	Topic config.Template `yaml:"topic" required:"true"`
	// Allow are globs that a topic made of the message must match: orders.*, dead-?.
	Allow []yamldoc.Text `yaml:"allow"`

	hub *Hub
}

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	topic := b.Template(c.Topic)
	transport.CheckSecret(b, &c.Topic.Text)
	p := preparer{topic: topic}
	for i := range c.Allow {
		if _, err := path.Match(c.Allow[i].Text, ""); err != nil {
			b.Findings.Add(c.Allow[i].Whole(diag.BadValue, "the pattern is not complete", "close the bracket"))
		}
		p.allow = append(p.allow, c.Allow[i].Text)
	}
	if topic != nil && !c.Topic.Text.Undefined {
		c.check(b, topic)
	}
	traits := flow.Traits{Headers: true}
	if topic != nil {
		if name, constant := topic.Constant(); constant {
			traits.Local = local(name)
		}
	}
	return config.Sink{
		Traits:   traits,
		Preparer: p,
		Open: func(_ context.Context, host flow.Host) (flow.Sink, error) {
			return &sink{hub: c.hub, log: host.Logger()}, nil
		},
	}
}

// local is what a topic is called among what pipelines of one process hand to each other.
func local(topic string) string {
	if topic == "" {
		return ""
	}
	return "memory topic " + topic
}

func (c *Sink) check(b *config.Builder, topic *expression.Template) {
	at := &c.Topic.Text
	name, constant := topic.Constant()
	switch {
	case constant && name == "":
		b.Findings.Add(at.Whole(diag.BadValue, "topic is empty", "write a name"))
	case constant && !at.Replaced && transport.LooksLikePath(name):
		b.Findings.Add(at.Whole(diag.ExpressionInLiteral, fmt.Sprintf("%q is a literal and reads like a path of the message", name),
			fmt.Sprintf(`write topic: "name-{{ %s }}"`, name)))
	case !constant && topic.Prefix() == "" && len(c.Allow) == 0:
		b.Findings.Add(at.Whole(diag.OpenDestination, "the message alone decides which topic it goes to",
			"begin with literal text, or write allow: [globs of the topics it may go to]"))
	}
}

type preparer struct {
	topic *expression.Template
	allow []string
}

// Prepare implements flow.Preparer.
func (p preparer) Prepare(m *flow.Message, o *flow.Outgoing) error {
	left, err := transport.Lifetime(m, o)
	if err != nil {
		return err
	}
	if left > 0 {
		o.Native = left
	}
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
	return p.allowed(o.Dest)
}

func (p preparer) allowed(topic string) error {
	for _, g := range p.allow {
		if ok, err := path.Match(g, topic); ok && err == nil {
			return nil
		}
	}
	if len(p.allow) == 0 {
		return nil
	}
	return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "allow does not name the topic %q", topic)
}
