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

// SourceOptions describe a source that is made of watermill Subscribers.
type SourceOptions struct {
	// Subscriptions are what is read. The source closes their subscribers.
	Subscriptions []Subscription
	// Fill adds what the message's context or metadata tell beyond UUID, metadata and payload. May be nil.
	Fill func(m *message.Message, r *flow.Record)
	// Lane names what the subscriber keeps in order (a partition); nil: a topic.
	Lane func(m *message.Message) string
	// Passing tells whether a subscription that could not be made is tried again, because what stands in its way may pass. Nil: it ends
	// the source.
	Passing func(err error) bool
	// Failed has an error when the source cannot go on for a reason that its subscribers keep to themselves. May be nil.
	Failed <-chan error
	// Closed is called once, when the subscribers are closed. May be nil.
	Closed func(ctx context.Context)
}

// Subscription is a topic and who reads it.
type Subscription struct {
	Topic      string
	Subscriber message.Subscriber
}

// source reads from watermill Subscribers. Each message is a batch of its own: it is acknowledged once it is settled, and refused when it
// stays, which makes the subscriber hand it out again.
type source struct {
	o    SourceOptions
	host flow.Host

	// reading is what the subscribers live on: it ends in Close, when nothing is under way any more, not with Run.
	reading context.Context //nolint:containedctx // the life of the source
	stop    context.CancelFunc

	mu    sync.Mutex
	known map[string]*flow.Lane
	// acknowledged counts messages whose subscriber has not come to see that yet; who waits for none left does so for seen.
	acknowledged int
	seen         chan struct{}
}

// NewSource makes a source of subscribers.
//
// A subscriber that ends a message's context when it is done with the message, as watermill's own do, repeats nothing after a clean stop:
// Close waits for that.
func NewSource(host flow.Host, o SourceOptions) flow.Source {
	s := &source{o: o, host: host, known: map[string]*flow.Lane{}}
	s.reading, s.stop = context.WithCancel(context.Background())
	return s
}

// Run implements flow.Source.
func (s *source) Run(ctx context.Context, in flow.Intake) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		reading sync.WaitGroup
		errs    = make([]error, len(s.o.Subscriptions)+1)
	)
	for i, sub := range s.o.Subscriptions {
		reading.Go(func() {
			if errs[i] = s.read(ctx, sub, in); errs[i] != nil {
				cancel()
			}
		})
	}
	reading.Go(func() {
		select {
		case errs[len(errs)-1] = <-s.o.Failed:
			cancel()
		case <-ctx.Done():
		}
	})
	reading.Wait()
	return errors.Join(errs...)
}

// resubscribePause is between two attempts to subscribe.
const resubscribePause = time.Second

// subscribe gives the messages of a topic, or none when the source is to stop.
func (s *source) subscribe(ctx context.Context, sub Subscription) (<-chan *message.Message, error) {
	for ctx.Err() == nil {
		messages, err := sub.Subscriber.Subscribe(s.reading, sub.Topic) //nolint:contextcheck // a subscription outlives Run: what is in flight is still to be acknowledged
		if err == nil {
			return messages, nil
		}
		if s.o.Passing == nil || !s.o.Passing(err) {
			return nil, fmt.Errorf("subscribe to %q: %w", sub.Topic, err)
		}
		s.host.Logger().Warn("the subscription failed; it is tried again", "topic", sub.Topic, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(resubscribePause):
		}
	}
	return make(chan *message.Message), nil
}

// read takes the messages of one topic.
func (s *source) read(ctx context.Context, sub Subscription, in flow.Intake) error {
	messages, err := s.subscribe(ctx, sub)
	if err != nil {
		return err
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
				return fmt.Errorf("the subscriber has ended the subscription to %q", sub.Topic)
			}
			if err := in.Push(ctx, s.batch(m, sub.Topic, n)); err != nil {
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
	if s.o.Fill != nil {
		s.o.Fill(m, &b.Records[0])
	}
	return b
}

func (s *source) lane(m *message.Message, name string) *flow.Lane {
	if s.o.Lane != nil {
		name = s.o.Lane(m)
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
func (s *source) Settle(b *flow.Batch) {
	m, ok := b.Memory.(*message.Message)
	if !ok {
		return
	}
	if !b.Records[0].Settled() {
		m.Nack()
		return
	}
	if ctx := m.Context(); ctx.Done() != nil {
		s.mu.Lock()
		s.acknowledged++
		s.mu.Unlock()
		context.AfterFunc(ctx, s.saw)
	}
	m.Ack()
}

// ackPatience is how long Close waits for subscribers to see acknowledgements. One that ends no context of its messages takes that long to
// close.
const ackPatience = time.Second

// Close implements flow.Source.
func (s *source) Close(ctx context.Context) (err error) {
	s.waitForAcks(ctx)
	s.stop()
	for _, sub := range s.o.Subscriptions {
		err = errors.Join(err, sub.Subscriber.Close())
	}
	if s.o.Closed != nil {
		s.o.Closed(ctx)
	}
	if err != nil {
		return fmt.Errorf("close the subscriber: %w", err)
	}
	return nil
}

// waitForAcks waits until the subscribers have seen what was acknowledged: told to close at the same moment, they may choose that.
func (s *source) waitForAcks(ctx context.Context) {
	s.mu.Lock()
	if s.acknowledged == 0 {
		s.mu.Unlock()
		return
	}
	seen := make(chan struct{})
	s.seen = seen
	s.mu.Unlock()
	select {
	case <-seen:
	case <-time.After(ackPatience):
	case <-ctx.Done():
	}
}

// saw notes that a subscriber has seen an acknowledgement.
func (s *source) saw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.acknowledged--; s.acknowledged == 0 && s.seen != nil {
		close(s.seen)
		s.seen = nil
	}
}
