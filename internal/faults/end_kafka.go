package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is a topic of Kafka, as a pipeline's source or sink.
type Topic struct {
	arrived
	// Via is the address that the pipeline connects to.
	Via string
	// Options are further options of the source, as in `, balance: eager`.
	Options string
	// Use names a connection that stands elsewhere in the pipeline; Via is then left out.
	Use string

	name   string
	addr   string
	client *kgo.Client
	reader *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}
}

// quickly makes the kit's own clients no slower than the pipeline's.
func quickly(int) time.Duration { return 50 * time.Millisecond }

// NewTopic makes a topic. The broker stamps each record when it comes.
func NewTopic(ctx context.Context, addr, name string, partitions int) (*Topic, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordRetries(1<<30),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryBackoffFn(quickly))
	if err != nil {
		return nil, err
	}
	stamp := "LogAppendTime"
	_, err = kadm.NewClient(client).CreateTopic(ctx, int32(partitions), 1, map[string]*string{"message.timestamp.type": &stamp}, name)
	return &Topic{Via: addr, name: name, addr: addr, client: client}, err
}

func (t *Topic) where() string {
	if t.Use != "" {
		return "use: " + t.Use
	}
	return fmt.Sprintf("brokers: [%q]", t.Via)
}

// Source implements Inlet.
func (t *Topic) Source() string {
	return fmt.Sprintf("{ kafka: { %s, topics: [%q], group: %q%s } }", t.where(), t.name, t.name, t.Options)
}

// Sink implements Outlet.
func (t *Topic) Sink() string {
	return fmt.Sprintf("{ kafka: { %s, topic: %q, key: body.key } }", t.where(), t.name)
}

// Feed implements Inlet. The producer is idempotent: its own retries make no copies.
func (t *Topic) Feed(ctx context.Context, payloads [][]byte, keys []string) error {
	records := make([]*kgo.Record, len(payloads))
	for i := range payloads {
		records[i] = &kgo.Record{Topic: t.name, Key: []byte(keys[i]), Value: payloads[i]}
	}
	return t.client.ProduceSync(ctx, records...).FirstErr()
}

// Collect implements Outlet: it reads what was committed.
func (t *Topic) Collect() error {
	var err error
	t.reader, err = kgo.NewClient(kgo.SeedBrokers(t.addr), kgo.ConsumeTopics(t.name), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryBackoffFn(quickly))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel, t.done = cancel, make(chan struct{})
	go func() {
		defer close(t.done)
		poll(ctx, func() { t.reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { t.add(r.Value, r.Timestamp) }) })
	}()
	return nil
}

// Close ends the clients and deletes the topic.
func (t *Topic) Close() {
	if t.cancel != nil {
		t.cancel()
		<-t.done
		t.reader.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = kadm.NewClient(t.client).DeleteTopics(ctx, t.name)
	t.client.Close()
}
