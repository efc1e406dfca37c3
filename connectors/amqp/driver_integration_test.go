//go:build integration

package amqp

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
)

func TestTheStockDriverMakesNoMessageOfTheEndOfItsDeliveries(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, declare: {}, driver: watermill}", url, queue)), in)
	for n := range 3 {
		publish(t, ch, queue, numbered(n, n+1)...)
		in.waitFor(t, 1)
		batches := in.take()
		if diff := cmp.Diff(values(n, n+1), bodies(batches)); diff != "" {
			t.Fatal(diff)
		}
		settle(run.source, batches, delivered)
		waitForReady(t, ch, queue, 0)
		if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
			t.Fatal(err)
		}
		for made := false; !made && t.Context().Err() == nil; { // the source makes it again
			again := plainChannel(t, url)
			_, err := again.QueueDeclarePassive(queue, true, false, false, false, nil)
			made = err == nil
		}
	}
	run.close(t)
}
