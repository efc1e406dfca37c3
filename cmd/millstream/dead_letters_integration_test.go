//go:build integration

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// TestExampleOfDeadLettersKeepsTypesToRabbitMQAndNamesThemToKafka has the broker itself dead-letter messages, and leads them back to their
// queue, and at last to Kafka.
func TestExampleOfDeadLettersKeepsTypesToRabbitMQAndNamesThemToKafka(t *testing.T) {
	b := connect(t)
	topic, dead := b.topic(b.name), b.queue()
	work := b.name + "-work"
	if _, err := b.channel.QueueDeclare(work, true, false, false, false,
		amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = b.channel.QueueDelete(work, false, false, false) })
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	headers := func() amqp.Table {
		return amqp.Table{
			"int": int32(-7), "short": int16(3), "long": int64(1 << 60), "double": 2.5, "bool": true, "time": stamp, "bytes": []byte{0, 255},
			"table": amqp.Table{"deep": []any{int8(1), "x"}},
		}
	}
	if err := b.channel.PublishWithContext(b.within(), "", work, true, false,
		amqp.Publishing{Body: []byte(`{"id":1}`), Headers: headers(), DeliveryMode: 2}); err != nil {
		t.Fatal(err)
	}
	rejected := 0
	b.run("rabbitmq-dead-letters.yaml", []string{"QUEUE=" + dead, "AGAIN=" + work, "TOPIC=" + topic}, func() bool {
		d, ok, err := b.channel.Get(work, false)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return rejected == 3
		}
		got := d.Headers
		if deaths, _ := got["x-death"].([]any); rejected > 0 && (len(deaths) != 1 || deaths[0].(amqp.Table)["count"] != int64(rejected)) {
			t.Errorf("after %d rejections x-death is %v", rejected, got["x-death"])
		}
		for name := range got {
			if _, ours := headers()[name]; !ours {
				delete(got, name) // the broker's own
			}
		}
		got["time"] = got["time"].(time.Time).UTC()
		if diff := cmp.Diff(headers(), got); diff != "" {
			t.Errorf("the headers are others after %d rejections:\n%s", rejected, diff)
		}
		rejected++
		if err := d.Reject(false); err != nil {
			t.Fatal(err)
		}
		return false
	})
	r := b.records(topic, 1)[0]
	got := map[string]string{}
	for _, h := range r.Headers {
		got[h.Key] = string(h.Value)
	}
	for name, want := range map[string]string{
		"int": "-7", "millstream-ht-int": "int", "short": "3", "long": fmt.Sprint(1 << 60), "double": "2.5", "bool": "true",
		"time": "2026-01-02T03:04:05Z", "millstream-ht-time": "time", "bytes": "\x00\xff", "table": `{"deep":[1,"x"]}`,
		"millstream-ht-table": "map",
	} {
		if got[name] != want {
			t.Errorf("the header %s is %q, want %q", name, got[name], want)
		}
	}
	if _, there := got["x-death"]; there {
		t.Error("x-death, which speaks of queues alone, went to Kafka")
	}
}
