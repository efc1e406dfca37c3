package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	stock "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// stockDriver is the driver that reads and writes through the module watermill-kafka, for teams whose other services do. Its settings are
// hardened: it begins at the oldest record, and a record counts as written when all replicas that are in sync have it.
const stockDriver = "watermill"

// checkDriver adds a finding about each option that the stock driver cannot obey.
func (c *Source) checkDriver(b *config.Builder) {
	if c.Driver != stockDriver {
		return
	}
	c.checkLogin(b)
	for _, topic := range c.Topics {
		if _, pattern := patternOf(topic); pattern {
			transport.Finding(b, "topics", "driver: watermill reads topics by their names, not by patterns", "name the topics, or leave driver out")
		}
	}
	refuse(b, "on_stop", c.OnStop == "stay", "driver: watermill always leaves the group")
	refuse(b, "driver", b.ExactlyOnce, "driver: watermill cannot deliver exactly once")
}

func (c *Sink) checkDriver(b *config.Builder) {
	if c.Driver != stockDriver {
		return
	}
	c.checkLogin(b)
	refuse(b, "create", c.Create != nil, "driver: watermill makes no topics")
	refuse(b, "driver", b.ExactlyOnce, "driver: watermill cannot deliver exactly once")
}

func (c *Cluster) checkLogin(b *config.Builder) {
	refuse(b, "sasl", c.SASL != nil && c.SASL.Mechanism != plainMechanism, "driver: watermill logs in with PLAIN only")
}

func refuse(b *config.Builder, option string, wrong bool, message string) {
	if wrong {
		transport.Finding(b, option, message, "leave it out, or leave driver out")
	}
}

// stockSettings are what both sides have in common.
func (c *cluster) stockSettings(host flow.Host) (*sarama.Config, error) {
	s := sarama.NewConfig()
	s.Version, s.ClientID = sarama.V2_6_0_0, "millstream."+host.Pipeline()+"."+host.Name()
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

// openStock opens a source of the stock driver. Brokers and topics are looked at first, as for any source.
func (c *Source) openStock(cl cluster, topics *selection) func(context.Context, flow.Host) (flow.Source, error) {
	return func(ctx context.Context, host flow.Host) (flow.Source, error) {
		probe, err := cl.probe(host)
		if err != nil {
			return nil, err
		}
		defer probe.Close()
		if err := cl.checkOpen(ctx, probe, topics.names); err != nil {
			return nil, err
		}
		settings, err := cl.stockSettings(host)
		if err != nil {
			return nil, err
		}
		settings.Consumer.Return.Errors = true
		settings.Consumer.Offsets.Initial = sarama.OffsetOldest
		if c.Start == "latest" {
			settings.Consumer.Offsets.Initial = sarama.OffsetNewest
		}
		if c.Isolation == "read_committed" {
			settings.Consumer.IsolationLevel = sarama.ReadCommitted
		}
		settings.Consumer.Group.Session.Timeout = c.SessionTimeout
		settings.Consumer.Group.Heartbeat.Interval = min(c.SessionTimeout/3, 3*time.Second)
		m := &stockMarshaler{}
		subscriber, err := stock.NewSubscriber(stock.SubscriberConfig{
			Brokers: cl.brokers, Unmarshaler: m, OverwriteSaramaConfig: settings, ConsumerGroup: c.Group,
		}, watermill.Logger(host))
		if err != nil {
			return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "kafka: %w", err)
		}
		return watermill.NewSource(subscriber, topics.names, m.fill, laneOf), nil
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
			return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "kafka: %w", err)
		}
		return watermill.NewSink(publisher, nil, classifyStock), nil
	}
}

// stockMarshaler takes over what the stock one would lose: the key, repeated and typed headers, the timestamp, the payload that is absent,
// and messages without a UUID.
type stockMarshaler struct {
	// fetched has the last message of each partition. The stock subscription hands a message out again after a Nack without unmarshaling
	// it, and waits for its end before it takes the next one of the partition.
	fetched sync.Map // partitionOf → *sarama.ConsumerMessage
}

type partitionOf struct {
	topic  string
	number int32
}

// Unmarshal implements stock.Unmarshaler.
func (s *stockMarshaler) Unmarshal(m *sarama.ConsumerMessage) (*message.Message, error) {
	out, err := stock.DefaultMarshaler{}.Unmarshal(m)
	if err == nil {
		s.fetched.Store(partitionOf{m.Topic, m.Partition}, m)
		out.Metadata.Set(topicKey, m.Topic)
	}
	return out, err
}

// topicKey is metadata within the process.
const topicKey = "\x00topic"

func placeOf(m *message.Message) partitionOf {
	number, _ := stock.MessagePartitionFromCtx(m.Context())
	return partitionOf{m.Metadata.Get(topicKey), number}
}

func laneOf(m *message.Message) string {
	at := placeOf(m)
	return laneName(at.topic, at.number)
}

// fill completes a record.
func (s *stockMarshaler) fill(m *message.Message, r *flow.Record) {
	at := placeOf(m)
	offset, _ := stock.MessagePartitionOffsetFromCtx(m.Context())
	r.ID, r.Topic, r.Partition, r.Offset = "", at.topic, at.number, offset
	fetched, _ := s.fetched.Load(at)
	raw, ok := fetched.(*sarama.ConsumerMessage)
	if !ok || raw.Offset != offset {
		return
	}
	headers := make([]kgo.RecordHeader, 0, len(raw.Headers))
	for _, h := range raw.Headers {
		headers = append(headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	r.Body, r.Key, r.Headers = raw.Value, raw.Key, fillHeaders(nil, headers)
	if ms := raw.Timestamp.UnixMilli(); ms > 0 {
		r.Time = ms * int64(time.Millisecond)
	}
}

// Marshal implements stock.Marshaler.
func (*stockMarshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	o := watermill.OutgoingOf(m)
	if o == nil {
		return nil, errors.New("the message is not of this sink")
	}
	p := &sarama.ProducerMessage{Topic: topic, Timestamp: o.Time(), Partition: anyPartition}
	if o.Body != nil {
		p.Value = sarama.ByteEncoder(o.Body)
	}
	if o.Key != nil {
		p.Key = sarama.ByteEncoder(o.Key)
	}
	named := false
	if extra, ok := o.Native.(*prepared); ok {
		p.Partition = extra.partition
		for _, h := range extra.headers {
			named = named || h.Key == watermill.UUIDHeader
			p.Headers = append(p.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
	}
	if !named {
		p.Headers = append(p.Headers, sarama.RecordHeader{Key: []byte(watermill.UUIDHeader), Value: []byte(m.UUID)})
	}
	return p, nil
}

// stockPartitioner takes the partition that the file gives, and else does as Kafka's own clients: murmur2 of the key.
type stockPartitioner struct{ hashed kgo.TopicPartitioner }

func newStockPartitioner(topic string) sarama.Partitioner {
	return stockPartitioner{kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
}

// Partition implements sarama.Partitioner.
func (p stockPartitioner) Partition(m *sarama.ProducerMessage, n int32) (int32, error) {
	switch key, keyed := m.Key.(sarama.ByteEncoder); {
	case m.Partition != anyPartition:
		if m.Partition >= n {
			return 0, fmt.Errorf("%w: the topic has %d partitions, there is no number %d", sarama.ErrInvalidPartition, n, m.Partition)
		}
		return m.Partition, nil
	case keyed:
		return int32(p.hashed.Partition(&kgo.Record{Key: key}, int(n))), nil
	default:
		return rand.Int32N(n), nil //nolint:gosec // which one does not matter
	}
}

// RequiresConsistency implements sarama.Partitioner: a key keeps its partition while one is without a leader.
func (stockPartitioner) RequiresConsistency() bool { return true }

// classifyStock gives the errors of the stock publisher their class.
func classifyStock(err error) error {
	class, code := flow.Transient, flow.CodeUnavailable
	switch {
	case errors.Is(err, sarama.ErrMessageSizeTooLarge), strings.Contains(err.Error(), "message size too large"),
		strings.Contains(err.Error(), "larger than configured Producer.MaxMessageBytes"):
		class, code = flow.Permanent, flow.CodeTooLarge
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		class, code = flow.ConfigError, flow.CodeMissing
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		class, code = flow.ConfigError, flow.CodeAuth
	case errors.Is(err, sarama.ErrInvalidPartition):
		class, code = flow.Permanent, flow.CodeUnroutable
	}
	return flow.Errorf(class, code, "kafka: %w", err)
}
