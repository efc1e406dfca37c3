package kafka

import (
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

// topicSettings are what a sink knows of a topic's own settings.
type topicSettings struct {
	limit     int32 // max.message.bytes
	compacted bool
}

// limitOf is the largest batch of a topic, and whether the topic said so itself.
func (p *producer) limitOf(topic string) (limit int32, known bool) {
	if s, ok := p.limits.Load(topic); ok {
		return s.(topicSettings).limit, true //nolint:forcetypeassert // nothing else is stored
	}
	return defaultBatchLimit, false
}

// refusal is why a topic would not take a record. A broker would refuse the whole batch that the record is in.
func (p *producer) refusal(r *kgo.Record) error {
	if r.Key != nil {
		return nil
	}
	if s, ok := p.limits.Load(r.Topic); ok && s.(topicSettings).compacted { //nolint:forcetypeassert // nothing else is stored
		return flow.Errorf(flow.Permanent, flow.CodeRefused, "topic %q is compacted, and takes no record without a key", r.Topic)
	}
	return nil
}

const (
	choice    = "invalid record partitioning choice of "
	available = " available"
)

// explained names what an error of the client leaves out: the topic, the sizes, the partition.
func (sl *slot) explained(err error) *flow.Error {
	class, code := classOf(err)
	topic := sl.record.Topic
	switch {
	case code == flow.CodeTooLarge:
		limit, known := sl.call.limits.limitOf(topic)
		if known && sl.size() > int64(limit)-batchOverhead {
			return flow.Errorf(class, code, "a record of %d bytes is too large for topic %q, whose max.message.bytes is %d: %w", sl.size(), topic, limit, err)
		}
		return flow.Errorf(class, code, "a record of %d bytes is too large for topic %q: %w", sl.size(), topic, err)
	case code == flow.CodeMissing:
		return flow.Errorf(class, code, "topic %q does not exist: %w", topic, err)
	case errors.Is(err, kerr.InvalidRecord) && sl.record.Key == nil:
		return flow.Errorf(class, code, "topic %q refuses a record without a key, as a compacted topic does: %w", topic, err)
	case strings.HasPrefix(err.Error(), choice):
		_, count, _ := strings.Cut(strings.TrimSuffix(err.Error(), available), " from ")
		return flow.Errorf(class, code, "topic %q has no partition %d; it has %s: %w", topic, sl.record.Partition, count, err)
	}
	return flow.Errorf(class, code, "topic %q: %w", topic, err)
}
