package watermill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
)

// source reads from a watermill Subscriber. Each message is a batch of its own: it is acknowledged once it is settled, and refused when it
// stays, which makes the subscriber hand it out again.
type source struct {
	subscriber message.Subscriber
	topics     []string
	fill       func(m *message.Message, r *flow.Record)
	lanes      func(m *message.Message) string

	// reading is what the subscriber lives on: it ends in Close, when nothing is under way any more, not with Run.
	reading context.Context //nolint:containedctx // the life of the source
	stop    context.CancelFunc

	mu    sync.Mutex
	known map[string]*flow.Lane
}

// NewSource makes a source of a subscriber, which it closes, with a subscription for each topic. fill adds what the message's context or metadata tell beyond UUID, metadata and
// payload; lane names what the subscriber keeps in order (a partition), the topic where it is nil.
func NewSource(subscriber message.Subscriber, topics []string, fill func(*message.Message, *flow.Record), lane func(*message.Message) string) flow.Source {
	s := &source{subscriber: subscriber, topics: topics, fill: fill, lanes: lane, known: map[string]*flow.Lane{}}
	s.reading, s.stop = context.WithCancel(context.Background())
	return s
}

// Run implements flow.Source.
func (s *source) Run(ctx context.Context, in flow.Intake) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		reading sync.WaitGroup
		errs    = make([]error, len(s.topics))
	)
	for i, topic := range s.topics {
		reading.Go(func() {
			if errs[i] = s.read(ctx, topic, in); errs[i] != nil {
				cancel()
			}
		})
	}
	reading.Wait()
	return errors.Join(errs...)
}

// read takes the messages of one topic.
func (s *source) read(ctx context.Context, topic string, in flow.Intake) error {
	messages, err := s.subscriber.Subscribe(s.reading, topic) //nolint:contextcheck // a subscription outlives Run: what is in flight is still to be acknowledged
	if err != nil {
		return fmt.Errorf("subscribe to %q: %w", topic, err)
	}
	for n := int64(0); ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-messages:
			if !ok {
				if ctx.Err() != nil {
					return nil //nolint:nilerr // a stop
				}
				return fmt.Errorf("the subscriber has ended the subscription to %q", topic)
			}
			if err := in.Push(ctx, s.batch(m, topic, n)); err != nil {
				m.Nack()
				if ctx.Err() != nil {
					return nil //nolint:nilerr // a stop
				}
				return err
			}
		}
	}
}

func (s *source) batch(m *message.Message, topic string, n int64) *flow.Batch {
	b := &flow.Batch{Lane: s.lane(m, topic), Arrived: time.Now().UnixNano(), Memory: m, Records: []flow.Record{{
		Body: m.Payload, Headers: HeadersOf(m)[1:], ID: m.UUID, Topic: topic, Offset: n, Partition: flow.NoPartition, Attempt: 1,
	}}}
	if m.UUID != "" {
		b.Records[0].Headers = append(b.Records[0].Headers, flow.TextHeader(UUIDHeader, m.UUID))
	}
	if s.fill != nil {
		s.fill(m, &b.Records[0])
	}
	return b
}

func (s *source) lane(m *message.Message, name string) *flow.Lane {
	if s.lanes != nil {
		name = s.lanes(m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.known[name]
	if !ok {
		l = flow.NewLane(name)
		s.known[name] = l
	}
	return l
}

// Settle implements flow.Source.
func (*source) Settle(b *flow.Batch) {
	m, ok := b.Memory.(*message.Message)
	if !ok {
		return
	}
	if b.Records[0].Settled() {
		m.Ack()
		return
	}
	m.Nack()
}

// Close implements flow.Source.
func (s *source) Close(context.Context) error {
	s.stop()
	if err := s.subscriber.Close(); err != nil {
		return fmt.Errorf("close the subscriber: %w", err)
	}
	return nil
}
