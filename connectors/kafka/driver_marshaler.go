package kafka

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/IBM/sarama"
	stock "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
)

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
