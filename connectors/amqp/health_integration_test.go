//go:build integration

package amqp

import (
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func TestTheLagIsWhatWaitsInTheQueueAndWhatIsNotSettled(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	const n = 100
	messages := make([]amqp.Publishing, n)
	for i := range messages {
		messages[i].Body = []byte("m")
	}
	publish(t, ch, queue, messages...)
	waitForReady(t, ch, queue, n)
	in := newIntake()
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, prefetch: 10}", url, queue))
	lagged, ok := s.(flow.Lagged)
	if !ok {
		t.Fatal("it knows no lag")
	}
	eventually := func(want int64) {
		t.Helper()
		for late := time.Now().Add(patience); lagged.Lag() != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("the lag is %d, want %d", lagged.Lag(), want)
			}
		}
	}
	eventually(n)
	run := start(t, s, in)
	in.waitFor(t, 10)
	eventually(n)
	settled := 0
	take := func(upTo int) {
		t.Helper()
		for late := time.Now().Add(patience); settled < upTo; time.Sleep(time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("%d of %d are settled", settled, upTo)
			}
			batches := in.take()
			settled += len(records(batches))
			settle(s, batches, delivered)
		}
	}
	take(40)
	eventually(int64(n - settled))
	take(n)
	eventually(0)
	if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(-1)
	run.close(t)
	if lag := lagged.Lag(); lag != -1 {
		t.Errorf("a source that is closed has the lag %d", lag)
	}
}
