package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
)

// PubSub are the settings of a Publisher and a Subscriber, for programs that use watermill without pipeline files. Headers are those of
// watermill-kafka, so that either side may be the stock module's.
type PubSub struct {
	// Brokers are addresses host:port to begin with.
	Brokers []string
	// TLS switches TLS on, SASL says how to log in; both may be nil.
	TLS  *transport.TLS
	SASL *SASL
	// Group shares a topic's messages between its subscribers. Without one each subscription gets every message, from the oldest.
	Group string
	// Key gives the record key, which keeps messages in order and in one partition; nil: no key.
	Key func(topic string, m *message.Message) []byte
	// Partitions is how many a topic gets that is missing; the broker's default when 0.
	Partitions int32
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
}

func (c *PubSub) cluster() cluster { return cluster{brokers: c.Brokers, tls: c.TLS, sasl: c.SASL} }

// host has a name of its own each time: members of a group with one name would push each other out.
func (c *PubSub) host() flow.Host {
	return &watermill.Host{Title: "watermill-" + uuid.NewString(), Log: c.Logger}
}

// initialize makes a topic if it is missing.
func (c *PubSub) initialize(ctx context.Context, topic string) error {
	if err := checkTopic(topic); err != nil {
		return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "%w", err)
	}
	cl := c.cluster()
	client, err := cl.probe(c.host())
	if err != nil {
		return err
	}
	defer client.Close()
	d := destinations{cluster: &cl, create: &Create{Partitions: c.Partitions}}
	return d.make(ctx, client, topic)
}

// Subscriber is a watermill Subscriber with the reading of the source kafka: it commits what is settled, and what lies before it.
type Subscriber struct {
	*watermill.Subscriber
	settings PubSub
}

// NewSubscriber makes a Subscriber. Topics are made when they are missing.
func NewSubscriber(c PubSub) *Subscriber {
	return &Subscriber{settings: c, Subscriber: watermill.NewSubscriber(c.host(), func(ctx context.Context, topic string) (flow.Source, error) {
		if err := c.initialize(ctx, topic); err != nil {
			return nil, err
		}
		cfg := &Source{Group: c.Group, Start: "earliest", Balance: "cooperative", Isolation: "read_committed", SessionTimeout: 45 * time.Second, OnStop: "leave"}
		if cfg.Group == "" {
			cfg.Group = "watermill-" + uuid.NewString()
		}
		return cfg.open(c.cluster(), &selection{names: []string{topic}})(ctx, c.host())
	})}
}

// SubscribeInitialize implements message.SubscribeInitializer: it makes the topic.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	if err := s.settings.initialize(ctx, topic); err != nil {
		return fmt.Errorf("initialize %q: %w", topic, err)
	}
	return nil
}

// NewPublisher makes a watermill Publisher with the producing of the sink kafka: idempotent, and confirmed by all replicas that are in
// sync. Topics are made when they are missing.
func NewPublisher(ctx context.Context, c PubSub) (message.Publisher, error) {
	cl := c.cluster()
	cfg := &Sink{MaxTopics: 1 << 20, Compression: "none"}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s, err := cfg.open(cl, &preparer{})(ctx, c.host())
	if err != nil {
		return nil, err
	}
	return watermill.NewPublisher(s, func(ctx context.Context, topic string) (flow.Preparer, error) {
		if err := c.initialize(ctx, topic); err != nil {
			return nil, err
		}
		return &keyed{preparer: preparer{constant: topic, name: "publisher"}, topic: topic, of: c.Key}, nil
	}), nil
}

// keyed is a preparer that takes the key from the message.
type keyed struct {
	preparer
	topic string
	of    func(topic string, m *message.Message) []byte
}

// PrepareMessage implements watermill.MessagePreparer.
func (k *keyed) PrepareMessage(m *message.Message, o *flow.Outgoing) {
	if k.of != nil {
		o.Key = k.of(k.topic, m)
	}
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
	_ watermill.MessagePreparer    = (*keyed)(nil)
)
