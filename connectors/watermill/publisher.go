package watermill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
)

// Publisher is a watermill Publisher on top of a sink. Publish returns when the sink has confirmed every message, and with an error when it
// has not; those before the first failed one in the list are then out.
type Publisher struct {
	sink flow.Sink
	// topic gives what prepares the messages of a topic.
	topic func(ctx context.Context, topic string) (flow.Preparer, error)

	mu      sync.RWMutex
	closed  bool
	known   map[string]flow.Preparer
	knowing sync.Mutex
	paths   *document.Paths
}

// NewPublisher makes a Publisher; topic gives what prepares the messages of a topic, and is asked once for each.
func NewPublisher(sink flow.Sink, topic func(ctx context.Context, topic string) (flow.Preparer, error)) *Publisher {
	p := &Publisher{sink: sink, topic: topic, known: map[string]flow.Preparer{}, paths: document.NewPaths()}
	p.paths.Freeze()
	return p
}

// Publish implements message.Publisher. It is bounded by the context of the first message.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fmt.Errorf("publish to %q: %w", topic, ErrClosed)
	}
	ctx := messages[0].Context()
	prepare, err := p.preparer(ctx, topic)
	if err != nil {
		return fmt.Errorf("publish to %q: %w", topic, err)
	}
	outs := make([]*flow.Outgoing, len(messages))
	for i, m := range messages {
		if outs[i], err = p.outgoing(m, prepare); err != nil {
			return fmt.Errorf("publish message %s to %q: %w", m.UUID, topic, err)
		}
	}
	sent := make(chan struct{})
	p.sink.Send(ctx, outs, func() { close(sent) })
	<-sent
	var errs []error
	for i, o := range outs {
		if o.Err != nil {
			errs = append(errs, fmt.Errorf("publish message %s to %q: %w", messages[i].UUID, topic, o.Err))
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) preparer(ctx context.Context, topic string) (flow.Preparer, error) {
	p.knowing.Lock()
	defer p.knowing.Unlock()
	if known, ok := p.known[topic]; ok {
		return known, nil
	}
	made, err := p.topic(ctx, topic)
	if err == nil {
		p.known[topic] = made
	}
	return made, err
}

// outgoing is a message as the sink takes it.
func (p *Publisher) outgoing(m *message.Message, prepare flow.Preparer) (*flow.Outgoing, error) {
	now := time.Now()
	batch := &flow.Batch{Arrived: now.UnixNano(), Records: []flow.Record{{
		Body: m.Payload, Headers: HeadersOf(m), Time: now.UnixNano(), Partition: flow.NoPartition, Attempt: 1,
	}}}
	if batch.Records[0].Body == nil {
		batch.Records[0].Body = []byte{} // watermill knows no absent payload
	}
	var in flow.Message
	in.Open(&flow.Env{Source: "publisher", Connector: "watermill", Format: document.Bytes, Paths: p.paths, Now: time.Now}, batch, 0)
	o := &flow.Outgoing{}
	o.Fill(&in, batch.Records[0].Body)
	if err := prepare.Prepare(&in, o); err != nil {
		return nil, err
	}
	if p, ok := prepare.(MessagePreparer); ok {
		p.PrepareMessage(m, o)
	}
	return o, nil
}

// MessagePreparer is a Preparer that also looks at the watermill message, to give it a key.
type MessagePreparer interface {
	flow.Preparer
	// PrepareMessage is called after Prepare.
	PrepareMessage(m *message.Message, o *flow.Outgoing)
}

// Close implements message.Publisher. It waits for every Publish under way.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.sink.Close(context.Background())
}

var _ message.Publisher = (*Publisher)(nil)
