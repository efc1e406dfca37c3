// Command kafka is the hand-written loop for the task that reads events from a Kafka topic, keeps the fast ones, adds a member and sorts
// them into two topics, losing none: it polls, produces without waiting for each record, waits until all are confirmed, commits.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
	"github.com/twmb/franz-go/pkg/kgo"
)

const polled = 10_000

func main() {
	if len(os.Args) != 5 {
		log.Fatal("kafka GROUP FROM ALERTS OTHERS")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("MILLSTREAM_KAFKA"), ",")...),
		kgo.ConsumerGroup(os.Args[1]), kgo.ConsumeTopics(os.Args[2]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxBufferedRecords(polled),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	if err != nil {
		log.Fatal(err)
	}
	t := task{client: client, alerts: os.Args[3], others: os.Args[4]}
	for ctx.Err() == nil {
		if err := t.round(ctx); err != nil && ctx.Err() == nil {
			log.Fatal(err)
		}
	}
	client.CloseAllowingRebalance()
}

type task struct {
	client         *kgo.Client
	alerts, others string
	failed         atomic.Pointer[error]
}

// round takes one poll through.
func (t *task) round(ctx context.Context) error {
	fetches := t.client.PollRecords(ctx, polled)
	defer t.client.AllowRebalance()
	if err := fetches.Err(); err != nil {
		return err
	}
	var err error
	fetches.EachRecord(func(r *kgo.Record) { err = errors.Join(err, t.one(ctx, r)) })
	if err != nil {
		return err
	}
	if err := t.client.Flush(ctx); err != nil {
		return err
	}
	if failed := t.failed.Load(); failed != nil {
		return *failed
	}
	return t.client.CommitUncommittedOffsets(ctx)
}

func (t *task) one(ctx context.Context, r *kgo.Record) error {
	if gjson.GetBytes(r.Value, "speed").Num <= 20 {
		return nil
	}
	out, err := sjson.SetBytes(r.Value, "fahrenheit", gjson.GetBytes(r.Value, "temperature").Num*1.8+32)
	if err != nil {
		return err
	}
	to := t.others
	if gjson.GetBytes(r.Value, "type").String() == "alert" {
		to = t.alerts
	}
	t.client.Produce(ctx, &kgo.Record{Topic: to, Key: r.Key, Value: out, Headers: r.Headers}, t.confirmed)
	return nil
}

func (t *task) confirmed(_ *kgo.Record, err error) {
	if err != nil {
		t.failed.Store(&err)
	}
}
