package watermill

import (
	"context"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
)

// Options describe a connector that is made of a watermill pub/sub.
type Options struct {
	// Name is the key in pipeline files, Doc a line for lists.
	Name, Doc string
	// Subscriber and Publisher open the two sides; a nil one has no such side. The pipeline closes what it has opened.
	Subscriber func(ctx context.Context, host flow.Host) (message.Subscriber, error)
	Publisher  func(ctx context.Context, host flow.Host) (message.Publisher, error)
	// Classify gives the errors of Publish their class, as *flow.Error; without it all of them are transient and tried again. May be nil.
	Classify func(err error) error
}

// Type makes a connector of a watermill pub/sub. A source reads one topic, a message at a time; a sink publishes to the topic of its
// template.
func Type(o Options) config.ConnectorType {
	t := config.ConnectorType{Name: o.Name, Doc: o.Doc}
	if o.Subscriber != nil {
		t.NewSource = func() config.SourceConfig { return &Source{options: o} }
	}
	if o.Publisher != nil {
		t.NewSink = func() config.SinkConfig { return &Sink{options: o} }
	}
	return t
}

// Source is the configuration of a source.
type Source struct {
	// Topic is what is subscribed to.
	Topic string `yaml:"topic" required:"true"`

	options Options
}

// BuildSource implements config.SourceConfig.
func (c *Source) BuildSource(*config.Builder) config.Source {
	return config.Source{Traits: flow.Traits{Headers: true}, Open: func(ctx context.Context, host flow.Host) (flow.Source, error) {
		subscriber, err := c.options.Subscriber(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("subscriber: %w", err)
		}
		return NewSource(host, SourceOptions{Subscriptions: []Subscription{{c.Topic, subscriber}}}), nil
	}}
}

// Sink is the configuration of a sink.
type Sink struct {
	// Topic is where messages go.
	Topic config.Template `yaml:"topic" required:"true"`
	// Allow are globs that a topic made of the message must match.
	Allow []string `yaml:"allow"`

	options Options
}

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	transport.CheckGlobs(b, c.Allow)
	transport.CheckSecret(b, &c.Topic.Text)
	p := &preparer{topic: b.Template(c.Topic), allow: c.Allow, name: b.Name}
	if p.topic != nil {
		text, constant := p.topic.Constant()
		switch {
		case constant:
			p.constant = text
		case p.topic.Prefix() == "" && len(c.Allow) == 0:
			transport.FindingWithCode(b, diag.OpenDestination, "topic", "the message alone decides where it goes",
				"begin with literal text, or write allow: [globs of what it may be]")
		}
	}
	return config.Sink{Traits: flow.Traits{Headers: true}, Preparer: p, Open: func(ctx context.Context, host flow.Host) (flow.Sink, error) {
		publisher, err := c.options.Publisher(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("publisher: %w", err)
		}
		return NewSink(publisher, nil, c.options.Classify), nil
	}}
}

// preparer renders the topic.
type preparer struct {
	topic    *expression.Template
	constant string
	allow    []string
	name     string // of the sink
}

// Prepare implements flow.Preparer.
func (p *preparer) Prepare(m *flow.Message, o *flow.Outgoing) error {
	if id := transport.DerivedID(m, p.name); id != "" {
		o.Native = id
	}
	if p.constant != "" {
		o.Dest = p.constant
		return nil
	}
	b, err := p.topic.Render(m, nil)
	if err != nil {
		return err
	}
	o.Dest = string(b)
	if len(p.allow) > 0 && !transport.Matches(p.allow, o.Dest) {
		return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the topic %q matches none of allow: %s", o.Dest, strings.Join(p.allow, ", "))
	}
	if o.Dest == "" {
		return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the topic is empty")
	}
	return nil
}
