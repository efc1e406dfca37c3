//go:build integration

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// TestTheOptionalSinkExampleArchivesAllAndShowsSome sends what the dashboard cannot use, too.
func TestTheOptionalSinkExampleArchivesAllAndShowsSome(t *testing.T) {
	address := broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq")
	connection, err := amqp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue, err := channel.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.QueueBind(queue.Name, "dashboard", "amq.topic", false, nil); err != nil {
		t.Fatal(err)
	}
	archived := []string{`a={"id":1,"customer":"b"}`, `a={"id":2,"customer":"a"}`, `a=<order/>`, `a={"id":3,"customer":"b"}`}
	overKafka{
		example: "optional-sink", from: "orders", send: archived, want: map[string][]string{"orders.archive": archived},
	}.runs(t, "RABBITMQ="+address)
	var shown []string
	eventually(t, "the dashboard has the orders of b", func() bool {
		if d, ok, err := channel.Get(queue.Name, true); err == nil && ok {
			shown = append(shown, string(d.Body))
		}
		return len(shown) == 2
	})
	if d := cmp.Diff([]string{`{"id":1,"customer":"b"}`, `{"id":3,"customer":"b"}`}, shown); d != "" {
		t.Errorf("the dashboard shows (-want +got):\n%s", d)
	}
}
