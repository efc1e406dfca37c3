package faults

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// InFlight is the limit that the pipelines of all routes set, and with it the bound on repeats of one kill.
const InFlight = 1000

// FileRoute goes from a file that remembers its position to a file.
type FileRoute struct{ Dir string }

// Pipeline implements Route.
func (f *FileRoute) Pipeline() string {
	return fmt.Sprintf(`name: faults-file
limits: { in_flight: %d }
from: { file: { path: in.ndjson, resume: true } }
steps:
  - filter: body.id >= 0
to: { file: { path: out.ndjson, sync: none } }
`, InFlight)
}

// Feed implements Route.
func (f *FileRoute) Feed(payloads [][]byte, _ []string) error {
	out, err := os.OpenFile(filepath.Join(f.Dir, "in.ndjson"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, p := range payloads {
		if _, err := out.Write(append(p, '\n')); err != nil {
			return err
		}
	}
	return out.Close()
}

// Received implements Route. A last line without its end is what a kill tore; it counts as corrupt once the process has cut it off
// only if it is still there.
func (f *FileRoute) Received(take func([]byte)) error {
	b, err := os.ReadFile(filepath.Join(f.Dir, "out.ndjson"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		if whole {
			take(line)
		}
		b = rest
	}
	return nil
}

// Finite implements Route.
func (f *FileRoute) Finite() bool { return true }

// KafkaEnd is a topic, as a source's or a sink's.
type KafkaEnd struct {
	addr, topic string
	client      *kgo.Client
	got         [][]byte
}

// NewKafkaEnd makes a topic with four partitions.
func NewKafkaEnd(ctx context.Context, addr, topic string) (*KafkaEnd, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	_, err = kadm.NewClient(client).CreateTopic(ctx, 4, 1, nil, topic)
	return &KafkaEnd{addr: addr, topic: topic, client: client}, err
}

// Close ends the client.
func (k *KafkaEnd) Close() { k.client.Close() }

func (k *KafkaEnd) feed(payloads [][]byte, keys []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	records := make([]*kgo.Record, len(payloads))
	for i := range payloads {
		records[i] = &kgo.Record{Topic: k.topic, Key: []byte(keys[i]), Value: payloads[i]}
	}
	return k.client.ProduceSync(ctx, records...).FirstErr()
}

func (k *KafkaEnd) received(take func([]byte)) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		fetches := k.client.PollFetches(ctx)
		cancel()
		n := len(k.got)
		fetches.EachRecord(func(r *kgo.Record) { k.got = append(k.got, r.Value) })
		if len(k.got) == n {
			break
		}
	}
	for _, p := range k.got {
		take(p)
	}
	return nil
}

// RabbitEnd is a queue, as a source's or a sink's.
type RabbitEnd struct {
	url, queue string
	conn       *amqp.Connection
	channel    *amqp.Channel
	got        [][]byte
}

// NewRabbitEnd makes a durable queue.
func NewRabbitEnd(url, queue string) (*RabbitEnd, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		return nil, err
	}
	return &RabbitEnd{url: url, queue: queue, conn: conn, channel: ch}, ch.Confirm(false)
}

// Close deletes the queue and ends the connection.
func (r *RabbitEnd) Close() {
	_, _ = r.channel.QueueDelete(r.queue, false, false, false)
	_ = r.conn.Close()
}

func (r *RabbitEnd) feed(payloads [][]byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var last *amqp.DeferredConfirmation
	for _, p := range payloads {
		c, err := r.channel.PublishWithDeferredConfirmWithContext(ctx, "", r.queue, true, false,
			amqp.Publishing{Body: p, DeliveryMode: amqp.Persistent})
		if err != nil {
			return err
		}
		last = c
	}
	if _, err := last.WaitContext(ctx); err != nil {
		return err
	}
	return nil
}

func (r *RabbitEnd) received(take func([]byte)) error {
	for {
		d, ok, err := r.channel.Get(r.queue, true)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		r.got = append(r.got, d.Body)
	}
	for _, p := range r.got {
		take(p)
	}
	return nil
}

// KafkaToRabbit is a route between the two brokers.
type KafkaToRabbit struct {
	From *KafkaEnd
	To   *RabbitEnd
}

// Pipeline implements Route.
func (k *KafkaToRabbit) Pipeline() string {
	return fmt.Sprintf(`name: %s
limits: { in_flight: %d }
from: { kafka: { brokers: [%q], topics: [%q], group: %q } }
steps:
  - filter: body.id >= 0
to: { amqp: { url: %q, exchange: "", routing_key: %q } }
`, "faults-kafka", InFlight, k.From.addr, k.From.topic, k.From.topic, k.To.url, k.To.queue)
}

// Feed implements Route.
func (k *KafkaToRabbit) Feed(payloads [][]byte, keys []string) error {
	return k.From.feed(payloads, keys)
}

// Received implements Route.
func (k *KafkaToRabbit) Received(take func([]byte)) error { return k.To.received(take) }

// Finite implements Route.
func (k *KafkaToRabbit) Finite() bool { return false }

// RabbitToKafka is the way back.
type RabbitToKafka struct {
	From *RabbitEnd
	To   *KafkaEnd
}

// Pipeline implements Route.
func (k *RabbitToKafka) Pipeline() string {
	return fmt.Sprintf(`name: %s
limits: { in_flight: %d }
from: { amqp: { url: %q, queue: %q } }
steps:
  - filter: body.id >= 0
to: { kafka: { brokers: [%q], topic: %q, key: body.key } }
`, "faults-rabbit", InFlight, k.From.url, k.From.queue, k.To.addr, k.To.topic)
}

// Feed implements Route.
func (k *RabbitToKafka) Feed(payloads [][]byte, _ []string) error { return k.From.feed(payloads) }

// Received implements Route.
func (k *RabbitToKafka) Received(take func([]byte)) error { return k.To.received(take) }

// Finite implements Route.
func (k *RabbitToKafka) Finite() bool { return false }
