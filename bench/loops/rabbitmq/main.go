// Command rabbitmq is the hand-written loop for the task that adds a member to the events of one RabbitMQ queue and publishes them to
// another, in order, losing none: deliveries are published without waiting, confirmations come in behind, and the confirmed prefix is
// acknowledged at once.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

const (
	// prefetch is how many deliveries may be under way.
	prefetch = 2000
	// prefix is after how many confirmations the deliveries are acknowledged even when more confirmations are at hand.
	prefix = 256
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("rabbitmq FROM TO")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("MILLSTREAM_RABBITMQ"), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url, from, to string) error {
	in, err := dial(url)
	if err != nil {
		return err
	}
	out, err := dial(url)
	if err != nil {
		return err
	}
	if err := in.Qos(prefetch, 0, false); err != nil {
		return err
	}
	if err := out.Confirm(false); err != nil {
		return err
	}
	confirms := out.NotifyPublish(make(chan amqp.Confirmation, prefetch))
	returns := out.NotifyReturn(make(chan amqp.Return, 1))
	deliveries, err := in.Consume(from, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	underWay := make(chan uint64, prefetch)
	failed := make(chan error, 2)
	go func() { failed <- acknowledge(in, confirms, underWay) }()
	go func() {
		for r := range returns {
			failed <- errors.New("returned: " + r.ReplyText)
		}
	}()
	for {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			awaitEmpty(underWay)
			return nil
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("the broker ended the consumer")
			}
			underWay <- d.DeliveryTag
			if err := publish(ctx, out, to, &d); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// awaitEmpty lets what is under way end, for a moment: what is not acknowledged by then comes again.
func awaitEmpty(underWay <-chan uint64) {
	for range 100 {
		time.Sleep(10 * time.Millisecond)
		if len(underWay) == 0 {
			return
		}
	}
}

func dial(url string) (*amqp.Channel, error) {
	c, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	return c.Channel()
}

func publish(ctx context.Context, out *amqp.Channel, to string, d *amqp.Delivery) error {
	body, err := sjson.SetBytes(d.Body, "fahrenheit", gjson.GetBytes(d.Body, "temperature").Num*1.8+32)
	if err != nil {
		return err
	}
	return out.PublishWithContext(ctx, "", to, true, false, amqp.Publishing{
		Headers: d.Headers, ContentType: d.ContentType, DeliveryMode: amqp.Persistent, MessageId: d.MessageId, Body: body,
	})
}

// acknowledge settles deliveries as far as their publishings are confirmed; both come in the order of publishing.
func acknowledge(in *amqp.Channel, confirms <-chan amqp.Confirmation, underWay <-chan uint64) error {
	since := 0
	for c := range confirms {
		if !c.Ack {
			return errors.New("the broker refused a message")
		}
		tag := <-underWay
		if since++; since < prefix && len(confirms) > 0 {
			continue
		}
		since = 0
		if err := in.Ack(tag, true); err != nil {
			return err
		}
	}
	return nil
}
