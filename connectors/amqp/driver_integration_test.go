//go:build integration

package amqp

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
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

func TestWhatIsPublishedIsNotTheMemoryOfTheBatch(t *testing.T) {
	for _, driver := range []string{"native", "watermill"} {
		t.Run(driver, func(t *testing.T) {
			url := brokerURL(t)
			queue, ch := freshQueue(t, url, nil)
			s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s, mandatory: false, driver: %s}", url, queue, driver))
			memory := []byte("payload|header|\xffkey")
			o, err := prepare(p, flow.Record{Body: memory[:7], Key: memory[15:], Headers: []flow.Header{{Name: "h", Value: value.Bytes(memory[8:14])}}})
			if err != nil {
				t.Fatal(err)
			}
			o.Own()
			for i := range memory {
				memory[i] = '-'
			}
			send(t, s, o)
			d := get(t, ch, queue, 1)[0]
			text := func(name string) string { return headerOf(name, d.Headers[name]).Text() }
			if diff := cmp.Diff([]string{"payload", "header", "\xffkey"}, []string{string(d.Body), text("h"), text(keyHeader)}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
