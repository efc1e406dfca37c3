//go:build integration

package amqp

import (
	"fmt"
	"testing"

	stock "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/google/go-cmp/cmp"
	rabbitmq "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/watermill"
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

// A program with the stock module tries a message with a header that is no text for ever.
func TestTheStockModuleTakesOnlyHeadersOfText(t *testing.T) {
	url := brokerURL(t)
	for _, test := range []struct {
		name, driver string
		header       value.Value
		taken        bool
	}{
		{"a number by our client", "native", value.Int(7), false},
		{"text by our client", "native", value.String("7"), true},
		{"a number by the stock driver", "watermill", value.Int(7), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			queue, ch := freshQueue(t, url, nil)
			s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s, mandatory: false, driver: %s}", url, queue, test.driver))
			o, err := prepare(p, flow.Record{Body: []byte("x"), Headers: []flow.Header{flow.TextHeader(watermill.UUIDHeader, "u"), {Name: "n", Value: test.header}}})
			if err != nil {
				t.Fatal(err)
			}
			send(t, s, o)
			m, err := stock.DefaultMarshaler{}.Unmarshal(get(t, ch, queue, 1)[0])
			if taken := err == nil; taken != test.taken {
				t.Fatalf("the stock module says %v", err)
			}
			if test.taken && (m.UUID != "u" || m.Metadata.Get("n") != "7" || string(m.Payload) != "x") {
				t.Errorf("it is %+v", m)
			}
		})
	}
}

func TestTheStockDriverKeepsWhatWatermillKnowsNothingOf(t *testing.T) {
	url := brokerURL(t)
	from, ch := freshQueue(t, url, nil)
	to, _ := freshQueue(t, url, nil)
	publish(t, ch, from, rabbitmq.Publishing{
		Body: []byte("x"), ContentType: "text/plain", CorrelationId: "c", Priority: 3, DeliveryMode: rabbitmq.Persistent, Headers: rabbitmq.Table{"n": int64(7)},
	})
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, driver: watermill}", url, from)), in)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s, mandatory: false, driver: watermill}", url, to))
	in.waitFor(t, 1)
	batches := in.take()
	r := &batches[0].Records[0]
	if len(r.Headers) != 1 || r.Headers[0].Name != "n" || r.Headers[0].Value.Kind() != value.KindInt {
		t.Errorf("the headers are %v", r.Headers)
	}
	o, err := prepare(p, *r)
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, o)
	settle(run.source, batches, delivered)
	run.close(t)
	d := get(t, ch, to, 1)[0]
	if d.ContentType != "text/plain" || d.CorrelationId != "c" || d.Priority != 3 || d.DeliveryMode != rabbitmq.Persistent || d.Headers["n"] != "7" {
		t.Errorf("it is %+v", d)
	}
	if id, ok := d.Headers[watermill.UUIDHeader].(string); !ok || id == "" {
		t.Errorf("it has no UUID: %v", d.Headers)
	}
}
