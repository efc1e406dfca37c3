package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// rabbitPairs is how often the noisy broker is asked.
	rabbitPairs = 15
	// stockRabbitShare is which part of the messages the stock watermill router gets.
	stockRabbitShare = 20
	stockRabbitPairs = 3
)

// rabbitMQ is the case with a RabbitMQ broker, when there is one.
func (s *suite) rabbitMQ() []*comparison {
	url := os.Getenv("MILLSTREAM_RABBITMQ")
	if url == "" {
		return nil
	}
	product := func(from, to string) program { return s.millstream("rabbitmq", "FROM="+from, "TO="+to) }
	loop := func(name string) func(from, to string) program {
		return func(from, to string) program { return s.loop(name, from, to) }
	}
	driver := func(from, to string) program { return product(from, to).with("DRIVER=watermill", "MANDATORY=false") }
	r := &rabbitCase{url: url}
	few := s.rabbitMessages / stockRabbitShare
	return []*comparison{
		{
			name: "rabbitmq", against: "amqp091-go loop", pairs: rabbitPairs, byRate: true, bars: []bar{atLeast(0.9)},
			product: r.contender("product", s.rabbitMessages, product), other: r.contender("loop", s.rabbitMessages, loop("rabbitmq")),
		},
		{
			name: "rabbitmq and stock watermill", against: "stock watermill-amqp", pairs: stockRabbitPairs, byRate: true,
			product: r.contender("product", s.rabbitMessages, product), other: r.contender("stock", few, loop("watermill-amqp")),
		},
		{
			name: "rabbitmq by the stock driver", against: "the driver native", pairs: stockRabbitPairs, byRate: true,
			product: r.contender("driver", min(driverMessages, s.rabbitMessages), driver), other: r.contender("native", s.rabbitMessages, product),
		},
	}
}

type rabbitCase struct{ url string }

// channel lends a channel.
func (r *rabbitCase) channel(f func(*amqp.Channel) error) error {
	c, err := amqp.Dial(r.url)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is under way
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	return f(ch)
}

// contender makes runs that have queues of their own, loaded before each.
func (r *rabbitCase) contender(name string, messages int, start func(from, to string) program) contender {
	return contender{messages: messages, program: func(run int) program {
		from, to := unique(name+strconv.Itoa(run)+"-in"), unique(name+strconv.Itoa(run)+"-out")
		p := start(from, to)
		p.before = func(ctx context.Context) error {
			return r.channel(func(ch *amqp.Channel) error { return load(ctx, ch, messages, from, to) })
		}
		p.arrived = func(ctx context.Context) (rate float64, err error) {
			err = r.channel(func(ch *amqp.Channel) error {
				rate, err = arrival(ctx, int64(messages), func() (int64, error) {
					q, err := ch.QueueDeclarePassive(to, true, false, false, false, nil)
					return int64(q.Messages), err
				})
				return err
			})
			return rate, err
		}
		p.after = func(context.Context) error {
			return r.channel(func(ch *amqp.Channel) error { return tidy(ch, from, to) })
		}
		return p
	}}
}

// load declares the queues and fills one.
func load(ctx context.Context, ch *amqp.Channel, messages int, from, to string) error {
	for _, queue := range []string{from, to} {
		if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
			return err
		}
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, messages))
	made := newEvents()
	for range messages {
		e := made.flat()
		if err := ch.PublishWithContext(ctx, "", from, true, false, amqp.Publishing{
			ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: e.device + "-" + strconv.Itoa(made.n),
			Headers: amqp.Table{"device": e.device}, Body: []byte(e.json),
		}); err != nil {
			return err
		}
	}
	for range messages {
		select {
		case c := <-confirms:
			if !c.Ack {
				return errors.New("the broker refused a message")
			}
		case <-time.After(time.Minute):
			return errors.New("the broker does not confirm")
		}
	}
	return nil
}

// tidy deletes the queues. What was read must be acknowledged by then.
func tidy(ch *amqp.Channel, from, to string) error {
	left, err := ch.QueueDelete(from, false, false, false)
	if err != nil {
		return err
	}
	if _, err := ch.QueueDelete(to, false, false, false); err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d messages were not acknowledged", left)
	}
	return nil
}
