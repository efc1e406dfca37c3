package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Queue is a queue of RabbitMQ, as a pipeline's source or sink.
type Queue struct {
	arrived
	// Via is the URL that the pipeline connects to.
	Via string

	name    string
	url     string
	conn    *amqp.Connection
	channel *amqp.Channel
	reader  *amqp.Connection
	done    chan struct{}
}

// NewQueue makes a durable queue.
func NewQueue(url, name string) (*Queue, error) {
	q := &Queue{Via: url, name: name, url: url}
	if err := q.connect(); err != nil {
		return nil, err
	}
	_, err := q.channel.QueueDeclare(name, true, false, false, false, nil)
	return q, err
}

func (q *Queue) connect() (err error) {
	if q.conn != nil && !q.conn.IsClosed() && !q.channel.IsClosed() {
		return nil
	}
	if q.conn != nil {
		_ = q.conn.Close()
	}
	if q.conn, err = amqp.Dial(q.url); err != nil {
		return err
	}
	if q.channel, err = q.conn.Channel(); err != nil {
		return err
	}
	return q.channel.Confirm(false)
}

// Source implements Inlet.
func (q *Queue) Source() string {
	return fmt.Sprintf("{ amqp: { url: %q, queue: %q } }", q.Via, q.name)
}

// Sink implements Outlet.
func (q *Queue) Sink() string {
	return fmt.Sprintf("{ amqp: { url: %q, exchange: \"\", routing_key: %q } }", q.Via, q.name)
}

// Feed implements Inlet. It does not try again what the broker has not confirmed, since that might be there twice: whoever kills the broker
// lets no Feed be under way.
func (q *Queue) Feed(ctx context.Context, payloads [][]byte, _ []string) error {
	for q.connect() != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	waiting := make([]*amqp.DeferredConfirmation, len(payloads))
	for i, p := range payloads {
		c, err := q.channel.PublishWithDeferredConfirmWithContext(ctx, "", q.name, true, false,
			amqp.Publishing{Body: p, DeliveryMode: amqp.Persistent})
		if err != nil {
			return err
		}
		waiting[i] = c
	}
	for _, c := range waiting {
		if ok, err := c.WaitContext(ctx); err != nil || !ok {
			return errors.Join(errors.New("the broker confirms nothing"), err)
		}
	}
	return nil
}

// Collect implements Outlet. What it takes is gone from the queue: whoever kills the broker collects only afterwards.
func (q *Queue) Collect() (err error) {
	if q.reader, err = amqp.Dial(q.url); err != nil {
		return err
	}
	ch, err := q.reader.Channel()
	if err != nil {
		return err
	}
	deliveries, err := ch.Consume(q.name, "", true, true, false, false, nil)
	if err != nil {
		return err
	}
	q.done = make(chan struct{})
	go func() {
		defer close(q.done)
		for d := range deliveries {
			q.add(d.Body, time.Now())
		}
	}()
	return nil
}

// Seen implements Outlet. Without a broker, nothing is seen.
func (q *Queue) Seen() (int, time.Time) {
	if q.done != nil {
		return q.arrived.Seen()
	}
	if q.connect() != nil {
		return -1, time.Time{}
	}
	state, err := q.channel.QueueDeclarePassive(q.name, true, false, false, false, nil)
	if err != nil {
		return -1, time.Time{}
	}
	return state.Messages, time.Now()
}

// Close deletes the queue and ends the connections.
func (q *Queue) Close() {
	if q.connect() == nil {
		_, _ = q.channel.QueueDelete(q.name, false, false, false)
	}
	_ = q.conn.Close()
	if q.done != nil {
		_ = q.reader.Close()
		<-q.done
	}
}
