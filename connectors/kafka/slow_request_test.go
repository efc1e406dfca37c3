package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

func TestACommitThatABrokerIsSlowWithGetsThrough(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in"), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "p"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	brokers := c.ListenAddrs()[0]
	client := plainClient(t, brokers, kgo.SASL(scram.Auth{User: "u", Pass: "p"}.AsSha256Mechanism()))
	if err := client.ProduceSync(t.Context(), numbered("in", 0, 3)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { time.Sleep(4 * time.Second) })
		return nil, nil, false
	})
	s := mustSource(t, connectortest.NewHost(t), "{brokers: ['"+brokers+"'], topics: [in], group: g, sasl: {mechanism: SCRAM-SHA-256, username: u, password: p}}")
	in := newIntake()
	run := start(t, s, in)
	in.waitFor(t, 3)
	settle(s, in.take(), delivered)
	member, ok := s.(*source)
	if !ok {
		t.Fatalf("the source is a %T", s)
	}
	for late := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if _, left := member.partition("in", 0).uncommitted(); !left {
			break
		}
		if time.Now().After(late) {
			t.Fatal("no commit was confirmed")
		}
	}
	run.end(t)
	run.close(t)
}

func TestAHeaderThatJSONCannotSayIsRefused(t *testing.T) {
	_, brokers := fakeCluster(t, 1, "out")
	for name, x := range map[string]any{"a name": map[string]any{"\xff": 1, "\xfe": 2}, "a text": []any{"\xff"}} {
		t.Run(name, func(t *testing.T) {
			_, p := mustSink(t, connectortest.NewHost(t), "{brokers: ['"+brokers+"'], topic: out}")
			_, err := prepare(p, "amqp", flow.Record{Body: []byte("b"), Headers: []flow.Header{{Name: "h", Value: value.Unbox(x)}}})
			wantError(t, err, flow.Permanent, flow.CodeEncode)
		})
	}
}
