//go:build integration

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// broker gives the address of a real broker; without it the test is skipped, or fails when the broker is required.
func broker(t *testing.T, variable, name string) string {
	t.Helper()
	address := os.Getenv(variable)
	if address != "" {
		return address
	}
	if slices.Contains(strings.Split(os.Getenv("MILLSTREAM_REQUIRE_BROKERS"), ","), name) {
		t.Fatalf("%s is not set, and MILLSTREAM_REQUIRE_BROKERS names %s", variable, name)
	}
	t.Skipf("%s is not set: run make test", variable)
	return ""
}

// brokers are clients of both brokers, and names that no other test uses.
type brokers struct {
	t               *testing.T
	kafka, rabbitmq string
	name            string
	client          *kgo.Client
	channel         *amqp.Channel
}

func connect(t *testing.T) *brokers {
	t.Helper()
	b := &brokers{
		t: t, kafka: broker(t, "MILLSTREAM_KAFKA", "kafka"), rabbitmq: broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq"),
		name: "example-" + strings.ToLower(rand.Text()[:10]),
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	connection, err := amqp.Dial(b.rabbitmq)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	b.client = client
	if b.channel, err = connection.Channel(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *brokers) within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*waiting)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *brokers) topic(name string) string {
	b.t.Helper()
	admin := kadm.NewClient(b.client)
	if _, err := admin.CreateTopic(b.within(), 3, 1, nil, name); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _, _ = admin.DeleteTopics(context.Background(), name) })
	return name
}

func (b *brokers) queue(bind ...string) string {
	b.t.Helper()
	q, err := b.channel.QueueDeclare(b.name, true, false, false, false, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _, _ = b.channel.QueueDelete(q.Name, false, false, false) })
	for _, key := range bind {
		if err := b.channel.QueueBind(q.Name, key, "amq.topic", false, nil); err != nil {
			b.t.Fatal(err)
		}
	}
	return q.Name
}

// run runs an example until done says so, then drains it.
func (b *brokers) run(example string, env []string, done func() bool) {
	b.t.Helper()
	b.runFile(exampleDir+"/"+example, env, done)
}

func (b *brokers) runFile(example string, env []string, done func() bool) {
	b.t.Helper()
	stderr := &output{}
	cmd := exec.Command("millstream", "run", example)
	cmd.Dir, cmd.Stderr = root, stderr
	cmd.Env = append(os.Environ(), append(env, "KAFKA="+b.kafka, "RABBITMQ="+b.rabbitmq)...)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	end := time.Now().Add(2 * waiting)
	for !done() {
		if time.Now().After(end) {
			b.t.Fatalf("%s did not come to its end\n%s", example, stderr)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.t.Fatalf("%s: %v\n%s", example, err, stderr)
	}
}

// records reads n records of a topic, in the order of their partitions.
func (b *brokers) records(topic string, n int) []*kgo.Record {
	b.t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.t.Fatal(err)
	}
	defer reader.Close()
	var all []*kgo.Record
	for ctx := b.within(); len(all) < n; {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("topic %s has %d records, want %d", topic, len(all), n)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func TestExampleFromKafkaToRabbitMQ(t *testing.T) {
	b := connect(t)
	topic, dead := b.topic(b.name), b.topic(b.name+"-dead")
	country := strings.ReplaceAll(b.name, "-", "")
	queue := b.queue("orders." + country)
	const customers, each = 5, 20
	var records []*kgo.Record
	for i := range each {
		for c := range customers {
			body := fmt.Sprintf(`{"id":%d,"customer":%d,"status":"paid","country":%q}`, i, c, strings.ToUpper(country))
			records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "c%d", c), Value: []byte(body)})
		}
	}
	records = append(records,
		&kgo.Record{Topic: topic, Key: []byte("c1"), Value: []byte(`{"id":99,"status":"open","country":"XX"}`)},
		&kgo.Record{Topic: topic, Key: []byte("c1"), Value: []byte(`<order/>`)},
		&kgo.Record{Topic: topic, Key: []byte("c2"), Value: []byte(`{"id":98,"status":"paid","country":"nowhere-` + country + `"}`)},
	)
	if err := b.client.ProduceSync(b.within(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b.run("kafka-to-rabbitmq.yaml", []string{"TOPIC=" + topic, "DEAD=" + dead, "GROUP=" + b.name}, func() bool {
		q, err := b.channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		ends, err := kadm.NewClient(b.client).ListEndOffsets(b.within(), dead)
		letters := int64(0)
		ends.Each(func(o kadm.ListedOffset) { letters += o.Offset })
		return err == nil && q.Messages >= customers*each && letters >= 2
	})
	next := map[int]int{}
	for range customers * each {
		d, ok, err := b.channel.Get(queue, true)
		if err != nil || !ok {
			t.Fatalf("a message is missing: %v", err)
		}
		var m struct{ ID, Customer int }
		if err := json.Unmarshal(d.Body, &m); err != nil {
			t.Fatal(err)
		}
		if m.ID != next[m.Customer] {
			t.Fatalf("customer %d: message %d came when %d was due", m.Customer, m.ID, next[m.Customer])
		}
		next[m.Customer]++
		if d.Headers["country"] != strings.ToUpper(country) {
			t.Fatalf("headers are %v", d.Headers)
		}
	}
	if _, more, _ := b.channel.Get(queue, true); more {
		t.Error("a message came twice")
	}
	var codes []string
	for _, r := range b.records(dead, 2) {
		for _, h := range r.Headers {
			if h.Key == "millstream-error-code" {
				codes = append(codes, string(r.Key)+" "+string(h.Value))
			}
		}
	}
	slices.Sort(codes)
	if want := []string{"c1 decode", "c2 unroutable"}; !slices.Equal(codes, want) {
		t.Errorf("dead letters are %v, want %v", codes, want)
	}
}

func TestExampleFromRabbitMQToKafka(t *testing.T) {
	b := connect(t)
	topic, queue := b.topic(b.name), b.queue()
	const devices, each = 4, 25
	for i := range each {
		for d := range devices {
			body := fmt.Sprintf(`{"device":"d%d","value":%d}`, d, i)
			if err := b.channel.PublishWithContext(b.within(), "", queue, true, false, amqp.Publishing{Body: []byte(body), DeliveryMode: 2}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var records []*kgo.Record
	b.run("rabbitmq-to-kafka.yaml", []string{"QUEUE=" + queue, "TOPIC=" + topic}, func() bool {
		if records == nil {
			records = b.records(topic, devices*each)
		}
		return true
	})
	next := map[string]int{}
	for _, r := range records {
		var m struct {
			Device string
			Value  int
		}
		if err := json.Unmarshal(r.Value, &m); err != nil || m.Device != string(r.Key) {
			t.Fatalf("record %s → %s: %v", r.Key, r.Value, err)
		}
		if m.Value != next[m.Device] {
			t.Fatalf("%s: value %d came when %d was due", m.Device, m.Value, next[m.Device])
		}
		next[m.Device]++
	}
	if q, err := b.channel.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil || q.Messages != 0 {
		t.Errorf("%d messages are left in the queue: %v", q.Messages, err)
	}
}
