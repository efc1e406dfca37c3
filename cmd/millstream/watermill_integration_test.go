//go:build integration

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// plainKafka are a publisher and a subscriber as a program with the stock module has them.
func (b *brokers) plainKafka() (message.Publisher, message.Subscriber) {
	b.t.Helper()
	p, err := wkafka.NewPublisher(wkafka.PublisherConfig{Brokers: []string{b.kafka}}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	settings := wkafka.DefaultSaramaSubscriberConfig()
	settings.Consumer.Offsets.Initial = sarama.OffsetOldest
	s, err := wkafka.NewSubscriber(wkafka.SubscriberConfig{Brokers: []string{b.kafka}, OverwriteSaramaConfig: settings, ConsumerGroup: b.name + "-plain"}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _, _ = p.Close(), s.Close() })
	return p, s
}

// plainRabbitMQ are the same for queues.
func (b *brokers) plainRabbitMQ() (message.Publisher, message.Subscriber) {
	b.t.Helper()
	settings := wamqp.NewDurableQueueConfig(b.rabbitmq)
	p, err := wamqp.NewPublisher(settings, watermill.NopLogger{})
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := wamqp.NewSubscriber(settings, watermill.NopLogger{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _, _ = p.Close(), s.Close() })
	return p, s
}

// TestPlainWatermillProgramsExchangeMessagesWithPipelines has a program with the stock modules on either side of a pipeline.
func TestPlainWatermillProgramsExchangeMessagesWithPipelines(t *testing.T) {
	for _, driver := range []string{"native", "watermill"} {
		t.Run("kafka/"+driver, func(t *testing.T) {
			b := connect(t)
			from, to := b.topic(b.name), b.topic(b.name+"-out")
			publisher, subscriber := b.plainKafka()
			b.exchange(publisher, subscriber, from, to, fmt.Sprintf(`
from: { kafka: { driver: %s, brokers: [%q], topics: [%s], group: %s, start: earliest } }
steps:
  - transform:
      body.seen: meta.kind
to: { kafka: { driver: %s, brokers: [%q], topic: %s } }
`, driver, b.kafka, from, b.name, driver, b.kafka, to))
		})
		t.Run("amqp/"+driver, func(t *testing.T) {
			b := connect(t)
			from := b.queue()
			to := b.name + "-out"
			if _, err := b.channel.QueueDeclare(to, true, false, false, false, nil); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = b.channel.QueueDelete(to, false, false, false) })
			publisher, subscriber := b.plainRabbitMQ()
			b.exchange(publisher, subscriber, from, to, fmt.Sprintf(`
from: { amqp: { driver: %s, url: %q, queue: %s } }
steps:
  - transform:
      body.seen: meta.kind
to: { amqp: { driver: %s, url: %q, routing_key: %s, mandatory: %t } }
`, driver, b.rabbitmq, from, driver, b.rabbitmq, to, driver == "native"))
		})
	}
}

// exchange publishes to one side of a pipeline and looks at what comes out of the other.
func (b *brokers) exchange(publisher message.Publisher, subscriber message.Subscriber, from, to, pipeline string) {
	b.t.Helper()
	const n = 20
	for i := range n {
		m := message.NewMessage(fmt.Sprintf("uuid-%d", i), fmt.Appendf(nil, `{"n":%d}`, i))
		m.Metadata.Set("kind", fmt.Sprintf("k%d", i))
		if err := publisher.Publish(from, m); err != nil {
			b.t.Fatal(err)
		}
	}
	messages, err := subscriber.Subscribe(b.within(), to)
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(b.t.TempDir(), "p.yaml")
	if err := os.WriteFile(file, []byte("name: "+b.name+pipeline), 0o600); err != nil {
		b.t.Fatal(err)
	}
	got := map[string]string{}
	b.runFile(file, nil, func() bool {
		select {
		case m := <-messages:
			got[m.UUID] = m.Metadata.Get("kind") + " " + string(m.Payload)
			m.Ack()
		case <-time.After(20 * time.Millisecond):
		}
		return len(got) == n
	})
	for i := range n {
		want := fmt.Sprintf(`k%d {"n":%d,"seen":"k%d"}`, i, i, i)
		if uuid := fmt.Sprintf("uuid-%d", i); got[uuid] != want {
			b.t.Errorf("message %s is %q, want %q", uuid, got[uuid], want)
		}
	}
}
