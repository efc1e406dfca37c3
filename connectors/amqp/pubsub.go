package amqp

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// PubSub are the settings of a Publisher and a Subscriber, for programs that use watermill without pipeline files. Names and headers are
// those of watermill-amqp, so that either side may be one of the stock module's: with Fanout those of NewDurablePubSubConfig, else those of
// NewDurableQueueConfig.
type PubSub struct {
	// URL is amqp://user:password@host:port/vhost, or amqps:// for TLS.
	URL string
	// TLS says which certificates to use with amqps; may be nil.
	TLS *transport.TLS
	// Fanout makes a topic a fanout exchange, from which each Group gets every message in a queue named topic_group. Otherwise a topic is a
	// queue, which all subscribers share.
	Fanout bool
	// Group is the name of those who share messages, with Fanout.
	Group string
	// Prefetch is how many messages may be unacknowledged; 100 when 0.
	Prefetch int
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
}

func (c *PubSub) dialer() dialer {
	b := Broker{URL: config.NewSecret(c.URL), TLS: c.TLS}
	return dialer{urls: b.urls(), tls: c.TLS, heartbeat: defaultHeartbeat}
}

func (c *PubSub) host() flow.Host { return &watermill.Host{Title: "watermill", Log: c.Logger} }

func (c *PubSub) queue(topic string) string {
	if !c.Fanout {
		return topic
	}
	return topic + "_" + c.Group
}

// exchange makes the exchange of a topic.
func (c *PubSub) exchange(ch *amqp.Channel, topic string) error {
	if !c.Fanout {
		return nil
	}
	if err := ch.ExchangeDeclare(topic, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return named(err, "exchange %q", topic)
	}
	return nil
}

// initialize makes the queue of a topic, and the exchange that feeds it.
func (c *PubSub) initialize(ctx context.Context, topic string) error {
	d := c.dialer()
	conn, err := d.dial(ctx, connectionName(c.host()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.goodbye() }()
	ch, err := conn.Channel()
	if err != nil {
		return channelError(err)
	}
	if err := c.exchange(ch, topic); err != nil {
		return err
	}
	queue := c.queue(topic)
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		return named(err, "queue %q", queue)
	}
	if !c.Fanout {
		return nil
	}
	if err := ch.QueueBind(queue, "", topic, false, nil); err != nil {
		return named(err, "bind queue %q to exchange %q", queue, topic)
	}
	return nil
}

// Subscriber is a watermill Subscriber with the reading of the source amqp: it reconnects by itself, and acknowledges what is settled.
type Subscriber struct {
	*watermill.Subscriber
	settings PubSub
}

// NewSubscriber makes a Subscriber. Queues, and exchanges with Fanout, are made when they are missing.
func NewSubscriber(c PubSub) *Subscriber {
	s := &Subscriber{settings: c}
	s.Subscriber = watermill.NewSubscriber(c.host(), func(ctx context.Context, topic string) (flow.Source, error) {
		if err := c.initialize(ctx, topic); err != nil {
			return nil, err
		}
		prefetch := c.Prefetch
		if prefetch == 0 {
			prefetch = 100
		}
		cfg := &Source{Queue: c.queue(topic), Prefetch: prefetch}
		return cfg.open(c.dialer())(ctx, c.host())
	})
	return s
}

// SubscribeInitialize implements message.SubscribeInitializer: it makes the topic's queue, so that nothing published from now on is missed.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	if err := s.settings.initialize(ctx, topic); err != nil {
		return fmt.Errorf("initialize %q: %w", topic, err)
	}
	return nil
}

// NewPublisher makes a watermill Publisher with the publishing of the sink amqp: persistent, confirmed, and mandatory, so that a message that
// no queue takes is an error of Publish. With Fanout exchanges are made when they are missing, and without it queues.
func NewPublisher(ctx context.Context, c PubSub) (message.Publisher, error) {
	cfg := &Sink{ConfirmTimeout: defaultConfirmTimeout}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s, err := cfg.open(c.dialer(), &preparer{})(ctx, c.host())
	if err != nil {
		return nil, err
	}
	return watermill.NewPublisher(s, func(ctx context.Context, topic string) (flow.Preparer, error) {
		p := &preparer{mandatory: true, name: "publisher"}
		at := rendered{option: "topic", constant: topic, isConstant: true}
		if c.Fanout {
			p.exchange = at
		} else {
			p.routingKey = at
		}
		return p, c.ready(ctx, topic)
	}), nil
}

// ready makes what a topic is published to.
func (c *PubSub) ready(ctx context.Context, topic string) error {
	if !c.Fanout {
		return c.initialize(ctx, topic)
	}
	d := c.dialer()
	conn, err := d.dial(ctx, connectionName(c.host()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.goodbye() }()
	ch, err := conn.Channel()
	if err != nil {
		return channelError(err)
	}
	return c.exchange(ch, topic)
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)
