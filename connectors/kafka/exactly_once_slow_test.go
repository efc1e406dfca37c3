//go:build integration

package kafka

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// slowIntake works on one record after the other, as a throttle does, and gives back what was abandoned.
type slowIntake struct {
	source flow.Source
	pause  func(offset int64) time.Duration
	turn   sync.Mutex
	mu     sync.Mutex
	tries  map[int64]int // by offset
}

func (i *slowIntake) Push(ctx context.Context, b *flow.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	go func() {
		i.turn.Lock()
		defer i.turn.Unlock()
		for k := range b.Records {
			select {
			case <-time.After(i.pause(b.Records[k].Offset)):
				b.Records[k].Finish(flow.Delivered)
			case <-b.Lane.Abandoned():
			}
			i.mu.Lock()
			i.tries[b.Records[k].Offset]++
			i.mu.Unlock()
		}
		i.source.Settle(b)
	}()
	return nil
}

func slowTransactor(t *testing.T, brokers, topic string, host flow.Host, limit time.Duration, pause func(int64) time.Duration) (*running, *slowIntake) {
	t.Helper()
	cfg := &Source{Group: topic, Start: "earliest", Balance: "cooperative", Isolation: "read_committed", SessionTimeout: 45 * time.Second, OnStop: "leave"}
	s, err := cfg.openTransactor(cluster{brokers: []string{brokers}}, &selection{names: []string{topic}})(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	s.(*transactor).size.limit = limit
	in := &slowIntake{source: s, pause: pause, tries: map[int64]int{}}
	return start(t, s, in), in
}

func waitForCommit(t *testing.T, brokers, group, topic string, want int64) {
	t.Helper()
	for late := time.Now().Add(2 * patience); ; time.Sleep(100 * time.Millisecond) {
		at := committedOffset(t, brokers, group, topic, 0)
		if at >= want {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("committed up to %d of %d", at, want)
		}
	}
}

func TestSlowWorkIsCommittedInSmallerTransactions(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	const total = 500
	produceAll(t, brokers, numbered(topic, 0, total)...)
	log := &logged{}
	host := connectortest.NewHost(t)
	host.Log = log.logger()
	run, in := slowTransactor(t, brokers, topic, host, 2*time.Second, func(int64) time.Duration { return 10 * time.Millisecond })
	waitForCommit(t, brokers, topic, topic, total)
	run.end(t)
	run.close(t)
	if n := log.count("in smaller transactions"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, log.text())
	}
	if in.tries[total-1] == 0 {
		t.Error("the last record was not worked on")
	}
}

func TestOneRecordThatTakesLongerThanATransactionIsNamed(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	produceAll(t, brokers, numbered(topic, 0, 40)...)
	log := &logged{}
	host := connectortest.NewHost(t)
	host.Log = log.logger()
	run, _ := slowTransactor(t, brokers, topic, host, time.Second, func(offset int64) time.Duration {
		if offset == 20 {
			return time.Hour
		}
		return 0
	})
	waitForCommit(t, brokers, topic, topic, 20) // what stands before it is through
	want := fmt.Sprintf("record=%s/0@20", topic)
	for late := time.Now().Add(patience); log.count(want) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("nothing names the record:\n%s", log.text())
		}
	}
	run.end(t)
	run.close(t)
}
