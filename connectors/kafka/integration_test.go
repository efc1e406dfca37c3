//go:build integration

package kafka

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// realBrokers are the brokers for tests; without any the test is skipped, unless the environment says that they must be there.
func realBrokers(t *testing.T) string { return fromEnvironment(t, "MILLSTREAM_KAFKA") }

func fromEnvironment(t *testing.T, name string) string {
	t.Helper()
	brokers := os.Getenv(name)
	if brokers != "" {
		return brokers
	}
	if strings.Contains(os.Getenv("MILLSTREAM_REQUIRE_BROKERS"), "kafka") {
		t.Fatalf("MILLSTREAM_REQUIRE_BROKERS names kafka, but %s is empty", name)
	}
	t.Skip(name + " is empty: no Kafka")
	return ""
}

func freshName(t *testing.T) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && legalInTopic(byte(r)) {
			return r
		}
		return '-'
	}, t.Name())
	return fmt.Sprintf("%s-%08x", name, rand.Uint32())
}

// freshTopic makes a topic that the test removes.
func freshTopic(t *testing.T, brokers string, partitions int32, settings ...string) string {
	t.Helper()
	client := plainClient(t, brokers)
	name := freshName(t)
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for i := 0; i+1 < len(settings); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = settings[i], kmsg.StringPtr(settings[i+1])
		topic.Configs = append(topic.Configs, c)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("create topic %s: %v", name, deref(resp.Topics[0].ErrorMessage))
	}
	t.Cleanup(func() {
		client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
		if err != nil {
			return
		}
		defer client.Close()
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TopicNames = []string{name}
		dt := kmsg.NewDeleteTopicsRequestTopic()
		dt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, dt)
		_, _ = req.RequestWith(client.Context(), client)
	})
	return name
}

func TestSourceKeepsTheContractWithKafka(t *testing.T) {
	brokers := realBrokers(t)
	in, idle := freshTopic(t, brokers, 1), freshTopic(t, brokers, 1)
	produceAll(t, brokers, numbered(in, 0, 100)...)
	open := func(topic string) func(t *testing.T, host *connectortest.Host) flow.Source {
		return func(t *testing.T, host *connectortest.Host) flow.Source {
			return mustSource(t, host, fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, freshName(t)))
		}
	}
	connectortest.Source(t, connectortest.SourceSuite{Open: open(in), Want: values(0, 100), Idle: open(idle)})
}

func TestEveryPartSurvivesTheWayThroughKafka(t *testing.T) {
	brokers := realBrokers(t)
	from, to := freshTopic(t, brokers, 1), freshTopic(t, brokers, 3)
	stamp := time.UnixMilli(1_700_000_000_123)
	produceAll(t, brokers,
		&kgo.Record{Topic: from, Key: nil, Value: nil, Timestamp: stamp},
		&kgo.Record{Topic: from, Key: []byte{}, Value: []byte{}, Timestamp: stamp},
		&kgo.Record{Topic: from, Key: []byte("k\xff"), Value: []byte("v"), Timestamp: stamp, Headers: []kgo.RecordHeader{
			{Key: "b", Value: []byte("2")}, {Key: "a", Value: []byte{0, 0xff}}, {Key: "b", Value: []byte("1")}, {Key: "none"},
			{Key: "empty", Value: []byte{}},
		}})
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, from, from)), in)
	in.waitFor(t, 3)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s, partition: 2, compression: zstd}", brokers, to))
	var outs []*flow.Outgoing
	for _, b := range in.take() {
		for k := range b.Records {
			o, err := prepare(p, "kafka", b.Records[k])
			if err != nil {
				t.Fatal(err)
			}
			outs = append(outs, o)
		}
	}
	send(t, s, outs...)
	type parts struct {
		Key, Value []byte
		Headers    []kgo.RecordHeader
		Time       int64
		Partition  int32
	}
	look := func(rs []*kgo.Record) (all []parts) {
		for _, r := range rs {
			all = append(all, parts{r.Key, r.Value, r.Headers, r.Timestamp.UnixMilli(), 2})
		}
		return all
	}
	got := fetchAll(t, brokers, to, 3)
	for _, r := range got {
		if r.Partition != 2 {
			t.Errorf("partition %d", r.Partition)
		}
	}
	if diff := cmp.Diff(look(fetchAll(t, brokers, from, 3)), look(got)); diff != "" {
		t.Error(diff)
	}
	run.end(t)
	run.close(t)
}

func TestTypedHeadersBecomeTextWithHints(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s}", brokers, topic))
	o, err := prepare(p, "amqp", flow.Record{
		Body: []byte("x"), Headers: []flow.Header{{Name: "n", Value: value.Int(5)}, flow.TextHeader("s", "text"),
			{Name: "l", Value: value.List([]any{1, "a"})}, flow.TextHeader("x-death", "gone"), {Name: "v"}},
		Props: &flow.Properties{ContentType: "application/json", CorrelationID: value.Bytes([]byte{0xff}), ReplyTo: "q", Priority: 4, HasPriority: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, o)
	var got []string
	for _, h := range fetchAll(t, brokers, topic, 1)[0].Headers {
		got = append(got, h.Key+"="+string(h.Value))
	}
	want := []string{"n=5", "millstream-ht-n=int", "s=text", "l=[1,\"a\"]", "millstream-ht-l=list", "v=", "millstream-ht-v=nil",
		"content-type=application/json", "millstream-correlation-id=\xff", "millstream-reply-to=q", "millstream-priority=4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyTheSettledPrefixIsCommitted(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	produceAll(t, brokers, numbered(topic, 0, 100)...)
	text := fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, topic)
	host := connectortest.NewHost(t)
	host.Bounds.InFlight = 40 // batches of ten
	in := newIntake()
	run := start(t, mustSource(t, host, text), in)
	in.waitFor(t, 40)
	batches := in.take()
	// The third batch stops after five; the later ones come back first.
	settle(run.source, batches[3:], delivered)
	if at := committedOffset(t, brokers, topic, topic, 0); at != -1 {
		t.Errorf("the group committed %d with nothing settled at the front", at)
	}
	settle(run.source, batches[:2], delivered)
	settle(run.source, batches[2:3], func(r *flow.Record) flow.End {
		if r.Offset == 25 {
			return flow.Open
		}
		return flow.Delivered
	})
	run.end(t)
	run.close(t)
	if at := committedOffset(t, brokers, topic, topic, 0); at != 25 {
		t.Errorf("the group committed %d, want 25", at)
	}
	again := newIntake()
	second := start(t, mustSource(t, host, text), again)
	for left := 75; left > 0; {
		again.waitFor(t, min(left, 10))
		for _, b := range again.take() {
			if first := b.Records[0].Offset; first != int64(100-left) {
				t.Errorf("a batch begins at %d, want %d", first, 100-left)
			}
			left -= len(b.Records)
			settle(second.source, []*flow.Batch{b}, delivered)
		}
	}
	second.end(t)
	second.close(t)
	if at := committedOffset(t, brokers, topic, topic, 0); at != 100 {
		t.Errorf("the group committed %d, want 100", at)
	}
}

func TestWhatIsSettledIsCommittedSoon(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	produceAll(t, brokers, numbered(topic, 0, 10)...)
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, topic)), in)
	in.waitFor(t, 10)
	settle(run.source, in.take(), delivered)
	late := time.Now().Add(patience)
	for committedOffset(t, brokers, topic, topic, 0) != 10 {
		if time.Now().After(late) {
			t.Fatal("the group has not committed")
		}
		time.Sleep(20 * time.Millisecond)
	}
	run.end(t)
	run.close(t)
}

func TestTwoMembersShareAndNothingIsLostOrRepeated(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 6)
	text := fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, topic)
	seen := &seen{counts: map[string]int{}, by: map[string]int{}}
	member := func(name string) *running {
		host := connectortest.NewHost(t)
		host.ComponentName = name
		s := mustSource(t, host, text)
		return start(t, s, &settling{source: s, seen: seen, name: name})
	}
	produce := func(from, to int) {
		rs := numbered(topic, from, to)
		for i, r := range rs {
			r.Partition = int32(i % 6)
		}
		produceAll(t, brokers, rs...)
	}
	first := member("first")
	produce(0, 600)
	seen.wait(t, 100)
	second := member("second")
	made := 600
	for seen.of("second") == 0 {
		produce(made, made+600)
		made += 600
		if made > 600_000 {
			t.Fatal("the second member was given nothing")
		}
	}
	produce(made, made+600)
	made += 600
	seen.wait(t, made)
	first.end(t)
	first.close(t)
	second.end(t)
	second.close(t)
	for v, n := range seen.counts {
		if n != 1 {
			t.Errorf("%s came %d times", v, n)
		}
	}
	total := int64(0)
	for p := range int32(6) {
		total += committedOffset(t, brokers, topic, topic, p)
	}
	if total != int64(made) {
		t.Errorf("%d records are committed, want %d", total, made)
	}
}

func TestOpenSaysWhatIsMissingInKafka(t *testing.T) {
	brokers := realBrokers(t)
	host := connectortest.NewHost(t)
	tests := []struct {
		name, source, sink string
		class              flow.Class
		code               flow.Code
	}{
		{name: "a topic to read", source: fmt.Sprintf("{brokers: [%q], topics: [not-there], group: g}", brokers), class: flow.ConfigError, code: flow.CodeMissing},
		{name: "a topic to write", sink: fmt.Sprintf("{brokers: [%q], topic: not-there}", brokers), class: flow.ConfigError, code: flow.CodeMissing},
		{name: "a broker", source: `{brokers: ["127.0.0.1:1"], topics: [x], group: g}`, class: flow.Transient, code: flow.CodeUnavailable},
		{name: "a broker for the sink", sink: `{brokers: ["127.0.0.1:1"], topic: x}`, class: flow.Transient, code: flow.CodeUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var err error
			if test.source != "" {
				_, err = openSource(t, host, test.source)
			} else {
				_, _, err = openSink(t, host, test.sink)
			}
			wantError(t, err, test.class, test.code)
			t.Log(err)
		})
	}
	if n := host.Shared(); n != 0 {
		t.Errorf("%d shared clients are left", n)
	}
}

func TestATopicThatDisappearsIsAConfigError(t *testing.T) {
	brokers := realBrokers(t)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: 'x-{{ body }}', allow: ['x-*']}", brokers))
	o, err := prepare(p, "kafka", flow.Record{Body: []byte(`"` + freshName(t) + `"`)})
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, o)
	wantError(t, o.Err, flow.ConfigError, flow.CodeMissing)
}

func TestOnlyTheRecordThatIsTooLargeFails(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1, "max.message.bytes", "20000")
	for _, templated := range []bool{false, true} {
		t.Run(map[bool]string{false: "known limit", true: "unknown limit"}[templated], func(t *testing.T) {
			name := topic
			if templated {
				name = "'" + topic[:5] + "{{ \"" + topic[5:] + "\" + (key == nil ? \"\" : \"\") }}'"
			}
			s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s}", brokers, name))
			var outs []*flow.Outgoing
			for i := range 40 {
				size := 1000
				if i == 20 {
					size = 30000
				}
				o, err := prepare(p, "kafka", flow.Record{Body: []byte(strings.Repeat("x", size))})
				if err != nil {
					t.Fatal(err)
				}
				outs = append(outs, o)
			}
			send(t, s, outs...)
			for _, o := range outs {
				if o.Err != nil && flow.AsError(o.Err, flow.Transient, "").Class == flow.Transient {
					send(t, s, o)
				}
			}
			for i, o := range outs {
				if i == 20 {
					wantError(t, o.Err, flow.Permanent, flow.CodeTooLarge)
				} else if o.Err != nil {
					t.Errorf("record %d: %v", i, o.Err)
				}
			}
		})
	}
}

func TestAPartitionThatIsNotThereIsThisRecordsFault(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 2)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s, partition: body}", brokers, topic))
	var outs []*flow.Outgoing
	for _, n := range []string{"0", "1", "2"} {
		o, err := prepare(p, "kafka", flow.Record{Body: []byte(n)})
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, o)
	}
	send(t, s, outs...)
	if outs[0].Err != nil || outs[1].Err != nil {
		t.Errorf("%v, %v", outs[0].Err, outs[1].Err)
	}
	wantError(t, outs[2].Err, flow.Permanent, flow.CodeRefused)
}

func TestAWrongPasswordIsAConfigError(t *testing.T) {
	brokers := fromEnvironment(t, "MILLSTREAM_KAFKA_SASL")
	host := connectortest.NewHost(t)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		for _, side := range []string{"source", "sink"} {
			t.Run(mechanism+" "+side, func(t *testing.T) {
				sasl := fmt.Sprintf("brokers: [%q], sasl: {mechanism: %s, username: test, password: canary-secret}", brokers, mechanism)
				var err error
				if side == "source" {
					_, err = openSource(t, host, "{"+sasl+", topics: [x], group: g}")
				} else {
					_, _, err = openSink(t, host, "{"+sasl+", topic: x}")
				}
				wantError(t, err, flow.ConfigError, flow.CodeAuth)
				if strings.Contains(fmt.Sprint(err), "canary-secret") {
					t.Errorf("the password is shown: %v", err)
				}
			})
		}
	}
}

func TestLoginAndTLSWorkAndAreChecked(t *testing.T) {
	dir := fromEnvironment(t, "MILLSTREAM_TLS_DIR")
	secure := fromEnvironment(t, "MILLSTREAM_KAFKA_SASL_TLS")
	host := connectortest.NewHost(t)
	topic := freshTopic(t, realBrokers(t), 1)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			s, p := mustSink(t, host, fmt.Sprintf(
				"{brokers: [%q], topic: %s, tls: {ca: %s/ca.pem}, sasl: {mechanism: %s, username: test, password: test}}", secure, topic, dir, mechanism))
			outs, err := connectortest.Outgoings(p, "1")
			if err != nil {
				t.Fatal(err)
			}
			if send(t, s, outs...); outs[0].Err != nil {
				t.Error(outs[0].Err)
			}
		})
	}
	_, _, err := openSink(t, host, fmt.Sprintf("{brokers: [%q], topic: %s, tls: {}}", fromEnvironment(t, "MILLSTREAM_KAFKA_TLS"), topic))
	wantError(t, err, flow.ConfigError, flow.CodeAuth)
}
