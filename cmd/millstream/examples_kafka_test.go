package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// overKafka is what an example does between topics. Records are "key=value"; a key that is not there is empty, a value that is not is ⌀.
type overKafka struct {
	example, from string
	send          []string
	want          map[string][]string // what comes to each topic, in order
}

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func unbase64(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// frame is a report of a vehicle with one motor, and its check byte.
const frame = "232302fe4c5356414231323334433536373839303101" + "0029" + "1a01020b0405" + "0101030102d30012d6870dad278d52010e13882300" + "0201" +
	"0101555fb44f7e5a0dac2788"

func checked(frame string) string {
	text, sum := unhex(frame), byte(0)
	for i := 2; i < len(text); i++ {
		sum ^= text[i]
	}
	return text + string([]byte{sum})
}

func examplesOverKafka() []overKafka {
	return []overKafka{
		{
			example: "avro-to-json", from: "readings",
			send: []string{"=" + unhex("00 00000007 046431 80f0a2f9db67 02 0000000000004540 04"), "=" + unhex("00 00000007 046432 80f0a2f9db67 00 00")},
			want: map[string][]string{"readings.json": {`d1={"at":"2026-06-19T11:11:42.592Z","celsius":42,"device":"d1","fahrenheit":107.6,"state":"HOT"}`}},
		},
		{
			example: "batch-envelope", from: "gateways",
			send: []string{
				`g1={"gateway":"g1","readings":[{"device":"d1","ts":1760000000,"v":1},{"device":"d2","ts":1760000001,"v":2}]}`,
				`g1={"gateway":"g1","readings":[]}`, `g1={"gateway":"g1","readings":[{"device":"d1","ts":1760000002,"v":3}]}`,
			},
			want: map[string][]string{"readings": {
				`d1={"device":"d1","v":1,"gateway":"g1","at":"2025-10-09T08:53:20Z"}`, `d2={"device":"d2","v":2,"gateway":"g1","at":"2025-10-09T08:53:21Z"}`,
				`d1={"device":"d1","v":3,"gateway":"g1","at":"2025-10-09T08:53:22Z"}`,
			}},
		},
		{
			example: "cdc-unwrap", from: "shop.public.customers",
			send: []string{
				`7={"op":"c","before":null,"after":{"id":7,"name":"Ada"},"ts_ms":1760000000000}`, `7={"op":"u","after":{"id":7,"name":"Ada L."},"ts_ms":1760000001000}`,
				`8={"op":"r","after":{"id":8,"name":"Bob"},"ts_ms":1760000001500}`, `7={"op":"d","before":{"id":7},"after":null,"ts_ms":1760000002000}`, `7=⌀`,
				`={"op":"t","ts_ms":1760000003000}`,
			},
			want: map[string][]string{
				"customers":      {`7={"id":7,"name":"Ada"}`, `7={"id":7,"name":"Ada L."}`, `8={"id":8,"name":"Bob"}`, `7=⌀`},
				"customers.dead": {`={"op":"t","ts_ms":1760000003000}`},
			},
		},
		{
			example: "compressed-batches", from: "batches",
			send: []string{"=" + unbase64("H4sIAAAAAAACA6tWSkkty0xOVbJSSjFU0lHKU7IyrOWqRhI1goga1XIBAKFyQZEsAAAA")},
			want: map[string][]string{"events": {`d1={"device":"d1","n":1}`, `d2={"device":"d2","n":2}`}},
		},
		{
			example: "gbt32960", from: "frames", send: []string{"=" + checked(frame)},
			want: map[string][]string{"motors": {`LSVAB1234C5678901={"amperes":12,"at":"2026-01-02T03:04:05Z","celsius":50,"fleet":"north","kmh":72.3,"motor":1,` +
				`"rpm":4500,"torque_nm":35,"vin":"LSVAB1234C5678901","volts":350}`}},
		},
		{
			example: "modbus-registers", from: "modbus", send: []string{"=" + unhex("11 03 0a ff c9 13 79 00 01 e2 40 00 02 37 f3")},
			want: map[string][]string{"stations": {`17={"celsius":-5.5,"hertz":49.85,"state":"running","station":17,"wh":123456}`}},
		},
		{
			example: "registry-lookup", from: "readings",
			send: []string{`d1={"device":"d1","temp":85}`, `d9={"device":"d9","temp":20}`, `d2={"device":"d2","temp":60}`},
			want: map[string][]string{
				"readings.enriched":       {`hall-1={"device":"d1","temp":85,"site":"hall-1","hot":true}`, `hall-2={"device":"d2","temp":60,"site":"hall-2","hot":false}`},
				"readings.unknown-device": {`d9={"device":"d9","temp":20}`},
			},
		},
		{
			example: "tenant-topics", from: "events",
			send: []string{`={"tenant":"acme","user":"u1"}`, `={"tenant":"initech","user":"u2"}`, `={"tenant":"globex","user":"u3"}`, `={"user":"u4"}`},
			want: map[string][]string{
				"events.acme": {`u1={"tenant":"acme","user":"u1"}`}, "events.globex": {`u3={"tenant":"globex","user":"u3"}`},
				"events.strangers": {`={"tenant":"initech","user":"u2"}`, `={"user":"u4"}`},
			},
		},
	}
}

// TestExamplesDoOverKafkaWhatTheySay runs the examples between topics of a Kafka in this process.
func TestExamplesDoOverKafkaWhatTheySay(t *testing.T) {
	for _, c := range examplesOverKafka() {
		t.Run(c.example, func(t *testing.T) {
			c.runs(t)
		})
	}
}

func (c overKafka) runs(t *testing.T, env ...string) {
	t.Helper()
	topics := []string{c.from}
	for topic := range c.want {
		topics = append(topics, topic)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topics[1:]...), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, text := range c.send {
		if err := client.ProduceSync(t.Context(), recordOf(c.from, text)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	runExample(t, c.example, append(env, "KAFKA="+cluster.ListenAddrs()[0]), func(string) bool {
		return committed(t, client, c.example) == int64(len(c.send))
	})
	if d := cmp.Diff(c.want, received(t, client, topics[1:])); d != "" {
		t.Errorf("what came (-want +got):\n%s", d)
	}
}

func recordOf(topic, text string) *kgo.Record {
	key, value, _ := strings.Cut(text, "=")
	r := &kgo.Record{Topic: topic, Value: []byte(value)}
	if key != "" {
		r.Key = []byte(key)
	}
	if value == "⌀" {
		r.Value = nil
	}
	return r
}

// committed is how far a group has come.
func committed(t *testing.T, client *kgo.Client, group string) (sum int64) {
	t.Helper()
	offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), group)
	if err != nil {
		return 0
	}
	offsets.Each(func(o kadm.OffsetResponse) { sum += max(o.At, 0) })
	return sum
}

// received is all that topics hold.
func received(t *testing.T, client *kgo.Client, topics []string) map[string][]string {
	t.Helper()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	got := map[string][]string{}
	for left > 0 && ctx.Err() == nil {
		for _, r := range client.PollFetches(ctx).Records() {
			left--
			value := string(r.Value)
			if r.Value == nil {
				value = "⌀"
			}
			got[r.Topic] = append(got[r.Topic], string(r.Key)+"="+value)
		}
	}
	return got
}

// TestEveryExampleRuns keeps the lists above complete.
func TestEveryExampleRuns(t *testing.T) {
	run := append([]string{
		"application-log", "enrich-with-fallback", "tenant-limits", "to-flaky-service", "webhooks", // each in a test of its own
		"kafka-exactly-once", "kafka-to-rabbitmq", "rabbitmq-dead-letters", "optional-sink", "rabbitmq-to-kafka", // with real brokers
	}, examplesAlone...)
	for _, c := range examplesOverKafka() {
		run = append(run, c.example)
	}
	for _, name := range exampleNames(t) {
		if !slices.Contains(run, strings.TrimSuffix(name, ".yaml")) {
			t.Errorf("no test runs %s", name)
		}
	}
}
