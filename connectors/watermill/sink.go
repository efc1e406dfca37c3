package watermill

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
)

// sink publishes through a watermill Publisher, message after message.
type sink struct {
	publisher message.Publisher
	topic     func(o *flow.Outgoing) string
	classify  func(err error) error
}

// NewSink makes a sink of a publisher, which it closes. topic gives the topic of a message, its Dest when nil; classify gives errors their
// class, those without one are transient; it may be nil. Marshalers get at what a message has beyond metadata by OutgoingOf.
//
// What Publish returns nil for counts as confirmed: a publisher that returns before the other side has the message can lose it.
func NewSink(publisher message.Publisher, topic func(o *flow.Outgoing) string, classify func(err error) error) flow.Sink {
	if topic == nil {
		topic = func(o *flow.Outgoing) string { return o.Dest }
	}
	return &sink{publisher: publisher, topic: topic, classify: classify}
}

// outgoingKey is where a message's context has what it was made of.
type outgoingKey struct{}

// OutgoingOf is what a message that a sink publishes was made of; nil for another message.
func OutgoingOf(m *message.Message) *flow.Outgoing {
	o, _ := m.Context().Value(outgoingKey{}).(*flow.Outgoing)
	return o
}

// OutgoingMessage is the message that goes out: the UUID that came with it, else a new one; headers as text. What split made of a message
// has an id of its own.
func OutgoingMessage(o *flow.Outgoing) *message.Message {
	own, _ := o.Native.(string)
	m := message.NewMessage(own, o.Body)
	for _, h := range o.Headers() {
		if h.Name != UUIDHeader {
			m.Metadata.Set(h.Name, h.Text())
		} else if own == "" {
			m.UUID = h.Text()
		}
	}
	if m.UUID == "" {
		m.UUID = watermill.NewUUID()
	}
	return m
}

// Send implements flow.Sink. After a message that could not be published for now the rest is not tried.
func (s *sink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	defer done()
	for i, o := range outs {
		if err := ctx.Err(); err != nil {
			o.Err = flow.Errorf(flow.Transient, flow.CodeUnavailable, "not published: %w", err)
			continue
		}
		m := OutgoingMessage(o)
		m.SetContext(context.WithValue(ctx, outgoingKey{}, o))
		err := s.publisher.Publish(s.topic(o), m)
		if err != nil && s.classify != nil {
			err = s.classify(err)
		}
		o.Err = err
		if e := flow.AsError(err, flow.Transient, flow.CodeUnavailable); e != nil && e.Class == flow.Transient {
			for _, later := range outs[i+1:] {
				later.Err = flow.Errorf(flow.Transient, flow.CodeUnavailable, "not tried after an earlier message failed: %w", err)
			}
			return
		}
	}
}

// Close implements flow.Sink.
func (s *sink) Close(context.Context) error {
	if err := s.publisher.Close(); err != nil {
		return fmt.Errorf("close the publisher: %w", err)
	}
	return nil
}
