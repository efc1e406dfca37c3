//go:build integration

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/pipelines/mapping"
)

// seen is a message as a broker has it: its parts by the names of the mapping, where the protocol has a place for them, and its headers.
type seen struct {
	parts, headers map[string]string
	null           bool
}

func seenInKafka(r *kgo.Record) seen {
	s := seen{parts: map[string]string{"body": string(r.Value), "key": string(r.Key), "time": strconv.FormatInt(r.Timestamp.UnixMilli(), 10)},
		headers: map[string]string{}, null: r.Value == nil}
	for _, h := range r.Headers {
		s.headers[h.Key] = string(h.Value)
	}
	return s
}

func seenInRabbitMQ(d *amqp.Delivery) seen {
	s := seen{headers: map[string]string{}, parts: map[string]string{
		"body": string(d.Body), "content_type": d.ContentType, "content_encoding": d.ContentEncoding, "correlation_id": d.CorrelationId,
		"reply_to": d.ReplyTo, "message_id": d.MessageId, "type": d.Type, "app_id": d.AppId, "user_id": d.UserId, "ttl": d.Expiration,
		"priority": strconv.Itoa(int(d.Priority)), "durable": strconv.FormatBool(d.DeliveryMode == amqp.Persistent),
	}}
	for name, v := range d.Headers {
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		s.headers[name] = fmt.Sprint(v)
	}
	s.parts["key"], s.parts["time"] = s.headers["millstream-key"], s.headers["timestamp_in_ms"]
	s.null = len(d.Body) == 0 && s.headers["millstream-tombstone"] == "true"
	return s
}

// twoSides are the sides of a pipeline.
type twoSides struct {
	*brokers
	file, source, sink, from, to string
}

func (b *brokers) between(t *testing.T, source, sink string) *twoSides {
	t.Helper()
	e := &twoSides{brokers: b, source: source, sink: sink, from: b.name + "-from-" + source + "-" + sink, to: b.name + "-to-" + source + "-" + sink}
	read := map[string]string{
		"kafka": fmt.Sprintf("kafka: { brokers: [%q], topics: [%s], group: %s }", b.kafka, e.from, e.from),
		"amqp":  fmt.Sprintf("amqp: { url: %q, queue: %s }", b.rabbitmq, e.from),
	}
	write := map[string]string{
		"kafka": fmt.Sprintf("kafka: { brokers: [%q], topic: %s }", b.kafka, e.to),
		"amqp":  fmt.Sprintf("amqp: { url: %q, routing_key: %s }", b.rabbitmq, e.to),
	}
	e.make(source, e.from)
	e.make(sink, e.to)
	e.file = filepath.Join(t.TempDir(), "p.yaml")
	text := fmt.Sprintf("name: %s\nfrom:\n  %s\nto:\n  %s\n", e.from, read[source], write[sink])
	if err := os.WriteFile(e.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

func (b *brokers) make(connector, name string) {
	b.t.Helper()
	if connector == "kafka" {
		b.topic(name)
		return
	}
	if _, err := b.channel.QueueDeclare(name, true, false, false, false, nil); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _, _ = b.channel.QueueDelete(name, false, false, false) })
}

const mappingTime = 1_700_000_000_123

// publish sends a message with each part that the protocol has, and one without a payload.
func (e *twoSides) publish(t *testing.T) (want map[string]string) {
	t.Helper()
	want = map[string]string{"body": `{"a":1}`, "key": "k\xff", "time": strconv.Itoa(mappingTime)}
	if e.source == "kafka" {
		at := time.UnixMilli(mappingTime)
		headers := []kgo.RecordHeader{{Key: "text", Value: []byte("ä")}, {Key: "raw", Value: []byte{0xff}}}
		err := e.client.ProduceSync(e.within(),
			&kgo.Record{Topic: e.from, Key: []byte("k\xff"), Value: []byte(`{"a":1}`), Headers: headers, Timestamp: at},
			&kgo.Record{Topic: e.from, Key: []byte("k\xff"), Headers: headers, Timestamp: at}).FirstErr()
		if err != nil {
			t.Fatal(err)
		}
		return want
	}
	maps.Copy(want, map[string]string{
		"content_type": "application/json", "content_encoding": "identity", "correlation_id": "c", "reply_to": "answers", "message_id": "m-1", "type": "t",
		"app_id": "a", "user_id": "test", "ttl": "600000", "priority": "3", "durable": "false",
	})
	for _, body := range []string{`{"a":1}`, ""} {
		msg := amqp.Publishing{
			ContentType: "application/json", ContentEncoding: "identity", CorrelationId: "c", ReplyTo: "answers", MessageId: "m-1", Type: "t", AppId: "a",
			UserId: "test", Expiration: "600000", Priority: 3, DeliveryMode: amqp.Transient, Timestamp: time.UnixMilli(mappingTime), Body: []byte(body),
			Headers: amqp.Table{"text": "ä", "raw": []byte{0xff}, "millstream-key": []byte("k\xff"), "timestamp_in_ms": int64(mappingTime)},
		}
		if body == "" {
			msg.Headers["millstream-tombstone"] = true
		}
		if err := e.channel.PublishWithContext(e.within(), "", e.from, true, false, msg); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// arrived are the two messages at the other end, that without a payload last.
func (e *twoSides) arrived(t *testing.T) (all []seen) {
	t.Helper()
	if e.sink == "kafka" {
		for _, r := range e.records(e.to, 2) {
			all = append(all, seenInKafka(r))
		}
	} else {
		for range 2 {
			d, ok, err := e.channel.Get(e.to, true)
			if err != nil || !ok {
				t.Fatalf("a message is missing: %v", err)
			}
			all = append(all, seenInRabbitMQ(&d))
		}
	}
	if all[0].null {
		all[0], all[1] = all[1], all[0]
	}
	return all
}

func (e *twoSides) pass(t *testing.T) {
	t.Helper()
	e.runFile(e.file, nil, func() bool {
		if e.sink == "kafka" {
			return len(e.records(e.to, 2)) == 2
		}
		q, err := e.channel.QueueDeclarePassive(e.to, true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return q.Messages == 2
	})
}

// headerNames finds the headers that an explanation speaks of.
var headerNames = regexp.MustCompile(`millstream-[a-z0-9-]*[a-z0-9]|content-(?:type|encoding)|timestamp_in_ms`)

func TestWhatExplainSaysOfEachPartIsWhatBecomesOfIt(t *testing.T) {
	b := connect(t)
	for _, source := range []string{"kafka", "amqp"} {
		for _, sink := range []string{"kafka", "amqp"} {
			t.Run(source+" to "+sink, func(t *testing.T) {
				e := b.between(t, source, sink)
				said, err := exec.Command("millstream", "explain", e.file).CombinedOutput()
				if err != nil {
					t.Fatalf("explain: %v\n%s", err, said)
				}
				want := e.publish(t)
				e.pass(t)
				got := e.arrived(t)
				entries, _ := mapping.Between(source, sink)
				for _, entry := range entries {
					if line := regexp.MustCompile(`(?m)^  mapping   ` + entry.Part + ` +` + string(entry.Class) + `\b`); !line.Match(said) {
						t.Errorf("explain does not say that %s is %s:\n%s", entry.Part, entry.Class, said)
					}
					if problem := judge(entry, want, got[0], got[1]); problem != "" {
						t.Errorf("%s is said to be %s (%s): %s\n%+v", entry.Part, entry.Class, entry.Note, problem, got)
					}
				}
			})
		}
	}
}

// judge says in which way a part is not what its entry says.
func judge(e mapping.Entry, want map[string]string, got, null seen) string {
	switch e.Part {
	case "no_payload":
		if !null.null {
			return "the message without a payload has one"
		}
		return ""
	case "headers":
		if got.headers["text"] != "ä" || got.headers["raw"] != "\xff" {
			return "a header is another"
		}
		return ""
	case "durable":
		if there, ok := got.parts["durable"]; ok && there != want["durable"] && e.Class == mapping.Exact {
			return "it is " + there
		}
		return ""
	}
	same := func(there string) bool { return there == want[e.Part] }
	if e.Part == "ttl" {
		same = func(there string) bool {
			left, err := strconv.Atoi(there)
			return err == nil && left > 500_000 && left <= 600_000
		}
	}
	switch e.Class {
	case mapping.Exact:
		if !same(got.parts[e.Part]) {
			return fmt.Sprintf("it is %q", got.parts[e.Part])
		}
	case mapping.Renamed, mapping.Folded:
		if e.Part == "user_id" && same(got.parts["user_id"]) {
			return "" // the test logs in as that user
		}
		names := headerNames.FindAllString(e.Note, -1)
		if len(names) == 0 || !same(got.headers[names[0]]) {
			return fmt.Sprintf("the headers %s are not it", strings.Join(names, ", "))
		}
	case mapping.Coerced, mapping.Emulated, mapping.Dropped, mapping.Refused:
		return "nothing tests that"
	}
	return ""
}

func TestHeadersOfRabbitMQComeBackFromKafkaWithEqualValues(t *testing.T) {
	b := connect(t)
	there, back := b.between(t, "amqp", "kafka"), b.between(t, "kafka", "amqp")
	stamp := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	sent := amqp.Table{
		"text": "ä", "bool": true, "long": int64(1 << 60), "double": 2.0, "void": nil, "raw": []byte{0, 0xff}, "bytes": []byte("abc"), "time": stamp,
		"table": amqp.Table{"n": int64(1), "f": 3.0, "at": stamp, "b": []byte{0xfe}, "deep": amqp.Table{"list": []any{int64(1), "x", nil, true}}},
		"list":  []any{stamp, []byte("b"), amqp.Table{}},
	}
	wanted := maps.Clone(sent)
	sent["x-death"] = []any{amqp.Table{"count": int64(1), "queue": "q", "reason": "rejected", "exchange": ""}}
	for range 2 {
		if err := b.channel.PublishWithContext(b.within(), "", there.from, true, false, amqp.Publishing{Headers: sent, MessageId: "m", Body: []byte("1")}); err != nil {
			t.Fatal(err)
		}
	}
	there.pass(t)
	for _, r := range b.records(there.to, 2) {
		r.Topic, r.Partition = back.from, 0
		if err := b.client.ProduceSync(b.within(), &kgo.Record{Topic: back.from, Value: r.Value, Headers: r.Headers}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	back.pass(t)
	for range 2 {
		d, ok, err := b.channel.Get(back.to, true)
		if err != nil || !ok {
			t.Fatalf("a message is missing: %v", err)
		}
		if id := d.Headers["millstream-id"]; d.MessageId != "m" || id != "m/to/to" {
			t.Errorf("message_id %q, millstream-id %v", d.MessageId, id)
		}
		for name := range d.Headers {
			if _, ok := sent[name]; !ok {
				delete(d.Headers, name)
			}
		}
		if diff := cmp.Diff(wanted, d.Headers, cmp.Transformer("utc", func(t time.Time) int64 { return t.Unix() })); diff != "" {
			t.Errorf("sent and received (-sent +received):\n%s", diff)
		}
	}
}
