// Command watermill-kafka does what the loop kafka does with a stock watermill router and watermill-kafka, set up to lose nothing: acks
// from all replicas, from the beginning of the topic, keys kept.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("watermill-kafka GROUP FROM ALERTS OTHERS")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, strings.Split(os.Getenv("MILLSTREAM_KAFKA"), ","), os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

// keyed writes the key that the message came with.
var keyed = kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
	key, _ := kafka.MessageKeyFromCtx(m.Context())
	return string(key), nil
})

func run(ctx context.Context, brokers []string, group, from, alerts, others string) error {
	reading := kafka.DefaultSaramaSubscriberConfig()
	reading.Consumer.Offsets.Initial = sarama.OffsetOldest
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: brokers, Unmarshaler: keyed, ConsumerGroup: group, OverwriteSaramaConfig: reading,
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	writing := kafka.DefaultSaramaSyncPublisherConfig()
	writing.Producer.RequiredAcks = sarama.WaitForAll
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers: brokers, Marshaler: keyed, OverwriteSaramaConfig: writing,
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router.AddConsumerHandler("task", from, subscriber, func(m *message.Message) error {
		body := []byte(m.Payload)
		if gjson.GetBytes(body, "speed").Num <= 20 {
			return nil
		}
		out, err := sjson.SetBytes(body, "fahrenheit", gjson.GetBytes(body, "temperature").Num*1.8+32)
		if err != nil {
			return err
		}
		to := others
		if gjson.GetBytes(body, "type").String() == "alert" {
			to = alerts
		}
		next := message.NewMessage(m.UUID, out)
		next.SetContext(m.Context())
		return publisher.Publish(to, next)
	})
	return router.Run(ctx)
}
