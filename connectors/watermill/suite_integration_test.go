//go:build integration

package watermill_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/millstream/millstream/connectors/amqp"
	"github.com/millstream/millstream/connectors/kafka"
)

// broker gives the address of a real broker; without it the test is skipped, or fails when the broker is required.
func broker(t *testing.T, variable, name string) string {
	t.Helper()
	address := os.Getenv(variable)
	if address != "" {
		return address
	}
	if strings.Contains(os.Getenv("MILLSTREAM_REQUIRE_BROKERS"), name) {
		t.Fatalf("MILLSTREAM_REQUIRE_BROKERS names %s, but %s is empty", name, variable)
	}
	t.Skipf("%s is empty", variable)
	return ""
}

func rabbit(t *testing.T, c amqp.PubSub) (message.Publisher, message.Subscriber) {
	t.Helper()
	c.URL = broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq")
	p, err := amqp.NewPublisher(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return p, amqp.NewSubscriber(c)
}

// TestWatermillsSuiteOnRabbitMQ runs the tests that watermill has for every pub/sub.
func TestWatermillsSuiteOnRabbitMQ(t *testing.T) {
	broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq")
	features := tests.Features{
		ConsumerGroups: true, GuaranteedOrder: true, GuaranteedOrderWithSingleSubscriber: true, Persistent: true,
	}
	t.Run("fanout", func(t *testing.T) {
		tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) {
			return rabbit(t, amqp.PubSub{Fanout: true, Group: "test"})
		}, func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
			return rabbit(t, amqp.PubSub{Fanout: true, Group: group})
		})
	})
	t.Run("queue", func(t *testing.T) {
		queues := features
		queues.ConsumerGroups = false
		tests.TestPubSub(t, queues, func(t *testing.T) (message.Publisher, message.Subscriber) {
			return rabbit(t, amqp.PubSub{})
		}, nil)
	})
}

// TestWatermillsSuiteOnKafka has one partition a topic, since watermill's messages have no keys.
func TestWatermillsSuiteOnKafka(t *testing.T) {
	brokers := []string{broker(t, "MILLSTREAM_KAFKA", "kafka")}
	pubSub := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		c := kafka.PubSub{Brokers: brokers, Group: group, Partitions: 1}
		p, err := kafka.NewPublisher(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return p, kafka.NewSubscriber(c)
	}
	features := tests.Features{
		ConsumerGroups: true, GuaranteedOrder: true, GuaranteedOrderWithSingleSubscriber: true, Persistent: true,
	}
	t.Run("group", func(t *testing.T) {
		tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) {
			return pubSub(t, "test-"+watermill.NewShortUUID())
		}, pubSub)
	})
	t.Run("without a group", func(t *testing.T) {
		alone := features
		alone.ConsumerGroups, alone.NewSubscriberReceivesOldMessages = false, true
		tests.TestPubSub(t, alone, func(t *testing.T) (message.Publisher, message.Subscriber) { return pubSub(t, "") }, nil)
	})
}

// TestPublisherAndSubscriberSurviveABrokerThatIsKilled does what watermill's own TestReconnect does, which compares before its publishers have
// ended: a publish that the broker took and could not confirm is repeated, and its message may arrive before that.
func TestPublisherAndSubscriberSurviveABrokerThatIsKilled(t *testing.T) {
	broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq")
	const instance, script, publishers, each = "watermill-suite", "../../scripts/brokers", 20, 100
	control := func(args ...string) {
		cmd := exec.Command(script, append(args, "--instance", instance)...)
		cmd.Env = append(os.Environ(), "BROKERS_INSTANCE="+instance)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("brokers %v: %v\n%s", args, err, out)
		}
	}
	control("start", "rabbitmq", "--port-offset", "4300")
	t.Cleanup(func() { control("purge", "rabbitmq") })
	c := amqp.PubSub{URL: "amqp://test:test@127.0.0.1:29972/", Fanout: true, Group: "test"}
	publisher, err := amqp.NewPublisher(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	subscriber := amqp.NewSubscriber(c)
	messages, err := subscriber.Subscribe(t.Context(), "survivors")
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	for p := range publishers {
		sending.Go(func() {
			for n := range each {
				if p == 0 && n%(each/2) == each/4 {
					control("kill", "rabbitmq")
					control("start", "rabbitmq")
				}
				m := message.NewMessage(fmt.Sprintf("%d-%d", p, n), []byte("x"))
				for publisher.Publish("survivors", m) != nil && t.Context().Err() == nil {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	late := time.After(3 * time.Minute)
	for got := map[string]bool{}; len(got) < publishers*each; {
		select {
		case m, ok := <-messages:
			if !ok {
				t.Fatal("the subscription has ended")
			}
			got[m.UUID] = true
			m.Ack()
		case <-late:
			t.Fatalf("%d of %d messages have arrived", len(got), publishers*each)
		}
	}
	sending.Wait()
	if err := errors.Join(publisher.Close(), subscriber.Close()); err != nil {
		t.Error(err)
	}
}

func TestAMessageThatNoQueueTakesIsAnError(t *testing.T) {
	for _, fanout := range []bool{true, false} {
		publisher, subscriber := rabbit(t, amqp.PubSub{Fanout: fanout, Group: "test"})
		topic := "nobody-" + watermill.NewShortUUID()
		// Without an exchange the topic is a queue, which the publisher makes.
		if err := publisher.Publish(topic, message.NewMessage("1", []byte("x"))); (err != nil) != fanout {
			t.Errorf("fanout %v: Publish gives %v", fanout, err)
		}
		if err := errors.Join(publisher.Close(), subscriber.Close()); err != nil {
			t.Error(err)
		}
	}
}
