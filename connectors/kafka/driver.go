package kafka

import (
	"context"
	"time"

	"github.com/IBM/sarama"
	stock "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// The stock driver reads and writes through the module watermill-kafka, for teams whose other services do. Its settings are hardened: it
// begins at the oldest record, a record counts as written when all replicas that are in sync have it, and members of a group have names.

// checkDriver adds a finding about each option that the stock driver cannot obey.
func (c *Source) checkDriver(b *config.Builder) {
	if c.Driver != watermill.Driver {
		return
	}
	c.checkLogin(b)
	for _, topic := range c.Topics {
		if _, pattern := patternOf(topic); pattern {
			transport.Finding(b, "topics", "driver: watermill reads topics by their names, not by patterns", "name the topics, or leave driver out")
		}
	}
	watermill.Refuse(b, "balance", writtenAs(b, "balance", "cooperative"), "shares partitions in the eager way only")
	watermill.Refuse(b, "driver", b.ExactlyOnce, "cannot deliver exactly once")
}

func (c *Sink) checkDriver(b *config.Builder) {
	if c.Driver != watermill.Driver {
		return
	}
	c.checkLogin(b)
	watermill.Refuse(b, "create", c.Create != nil, "makes no topics")
	watermill.Refuse(b, "driver", b.ExactlyOnce, "cannot deliver exactly once")
}

func (c *Cluster) checkLogin(b *config.Builder) {
	watermill.Refuse(b, "sasl", c.SASL != nil && c.SASL.Mechanism != plainMechanism, "logs in with PLAIN only")
}

// stockSettings are what both sides have in common.
func (c *cluster) stockSettings(host flow.Host) (*sarama.Config, error) {
	s := sarama.NewConfig()
	s.Version, s.ClientID = sarama.V2_6_0_0, "millstream."+host.Pipeline()+"."+host.Name()
	s.Net.DialTimeout = transport.DialTimeout
	settings, err := c.tls.Config(c.dir)
	if err != nil {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "%w", err)
	}
	s.Net.TLS.Enable, s.Net.TLS.Config = settings != nil, settings
	if c.sasl != nil {
		s.Net.SASL.Enable, s.Net.SASL.Mechanism = true, sarama.SASLTypePlaintext
		s.Net.SASL.User, s.Net.SASL.Password = c.sasl.Username, c.sasl.Password.Reveal()
	}
	return s, nil
}

// memberSettings are those of a member of the group.
//
// The module makes a new member out of each connection to the brokers that it loses, and the group then waits for the old one until its
// session has timed out. A member that has a name takes its own place instead, also after the process was killed.
func (c *Source) memberSettings(s *sarama.Config, name string) {
	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	if c.Start == "latest" {
		s.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	if c.Isolation == "read_committed" {
		s.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	group := &s.Consumer.Group
	group.InstanceId = name
	group.Session.Timeout, group.Rebalance.Timeout = c.SessionTimeout, rebalanceTimeout
	s.Consumer.Offsets.AutoCommit.Interval = commitInterval
	group.Heartbeat.Interval = min(c.SessionTimeout/3, 3*time.Second)
	// Who joins a group waits for its answer until the others have let go; with less patience it would begin that again and again.
	s.Net.ReadTimeout = rebalanceTimeout + 5*time.Second
}

// openStock opens a source of the stock driver. Brokers, topics and the group are looked at first, since the module would try for ever.
func (c *Source) openStock(cl cluster, topics *selection) func(context.Context, flow.Host) (flow.Source, error) {
	return func(ctx context.Context, host flow.Host) (flow.Source, error) {
		if err := c.connect(cl, topics)(ctx, host); err != nil {
			return nil, err
		}
		var (
			marshaler = &stockMarshaler{}
			refusal   = newRefusal()
			members   []*stockMember
			o         = watermill.SourceOptions{Fill: marshaler.fill, Lane: laneOf, Passing: passing, Failed: refusal.failed}
		)
		for i, topic := range topics.names {
			settings, err := cl.stockSettings(host)
			if err != nil {
				return nil, err
			}
			member := newStockMember(host, cl, c, topics, i)
			c.memberSettings(settings, member.member())
			subscriber, err := stock.NewSubscriber(stock.SubscriberConfig{
				Brokers: cl.brokers, Unmarshaler: marshaler, OverwriteSaramaConfig: settings, ConsumerGroup: c.Group, Tracer: member,
			}, watermill.WatchErrors(watermill.Logger(host), refusal.seen))
			if err != nil {
				return nil, classifyStock(err)
			}
			o.Subscriptions = append(o.Subscriptions, watermill.Subscription{Topic: topic, Subscriber: subscriber})
			members = append(members, member)
		}
		o.Closed = func(ctx context.Context) {
			for _, m := range members {
				m.leave(ctx)
			}
		}
		return watermill.NewSource(host, o), nil
	}
}

// openStock opens a sink of the stock driver.
func (c *Sink) openStock(cl cluster, p *preparer) func(context.Context, flow.Host) (flow.Sink, error) {
	return func(ctx context.Context, host flow.Host) (flow.Sink, error) {
		if err := c.connect(cl, p)(ctx, host); err != nil {
			return nil, err
		}
		settings, err := cl.stockSettings(host)
		if err != nil {
			return nil, err
		}
		settings.Producer.RequiredAcks, settings.Producer.Return.Successes = sarama.WaitForAll, true
		settings.Producer.Idempotent, settings.Net.MaxOpenRequests = true, 1
		settings.Producer.Retry.Max = 10
		settings.Producer.Partitioner = newStockPartitioner
		settings.Producer.MaxMessageBytes = int(host.Limits().MaxMessage) + 64<<10
		settings.Producer.Compression = map[string]sarama.CompressionCodec{
			"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
		}[c.Compression]
		publisher, err := stock.NewPublisher(stock.PublisherConfig{
			Brokers: cl.brokers, Marshaler: &stockMarshaler{}, OverwriteSaramaConfig: settings,
		}, watermill.Logger(host))
		if err != nil {
			return nil, classifyStock(err)
		}
		return watermill.NewSink(publisher, nil, classifyStock), nil
	}
}
