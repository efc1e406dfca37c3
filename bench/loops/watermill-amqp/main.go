// Command watermill-amqp does what the loop rabbitmq does with a stock watermill router and watermill-amqp, set up to lose nothing: durable
// queues, persistent messages, confirmations; one message after another, which is how it keeps order.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("watermill-amqp FROM TO")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("MILLSTREAM_RABBITMQ"), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url, from, to string) error {
	config := amqp.NewDurableQueueConfig(url)
	config.Publish.ConfirmDelivery = true
	config.Publish.ChannelPoolSize = 8
	config.Consume.Qos.PrefetchCount = 100
	subscriber, err := amqp.NewSubscriber(config, watermill.NopLogger{})
	if err != nil {
		return err
	}
	publisher, err := amqp.NewPublisher(config, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router.AddHandler("task", from, subscriber, to, publisher, func(m *message.Message) ([]*message.Message, error) {
		body := []byte(m.Payload)
		out, err := sjson.SetBytes(body, "fahrenheit", gjson.GetBytes(body, "temperature").Num*1.8+32)
		if err != nil {
			return nil, err
		}
		return []*message.Message{message.NewMessage(m.UUID, out)}, nil
	})
	return router.Run(ctx)
}
