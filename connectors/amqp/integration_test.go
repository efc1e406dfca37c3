//go:build integration

package amqp

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

func TestSourceKeepsTheContractWithRabbitMQ(t *testing.T) {
	url := brokerURL(t)
	idle, ch := freshQueue(t, url, nil)
	connectortest.Source(t, connectortest.SourceSuite{
		Open: func(t *testing.T, host *connectortest.Host) flow.Source {
			queue, own := freshQueue(t, url, nil)
			publish(t, own, queue, numbered(0, 100)...)
			waitForReady(t, ch, queue, 100)
			return mustSource(t, host, fmt.Sprintf("{url: %q, queue: %s}", url, queue))
		},
		Want: values(0, 100),
		Idle: func(t *testing.T, host *connectortest.Host) flow.Source {
			return mustSource(t, host, fmt.Sprintf("{url: %q, queue: %s}", url, idle))
		},
	})
}

func TestSinkKeepsTheContractWithRabbitMQ(t *testing.T) {
	url := brokerURL(t)
	connectortest.Sink(t, connectortest.SinkSuite{
		Open: func(t *testing.T, host *connectortest.Host) (flow.Sink, flow.Preparer, func() []string) {
			queue, ch := freshQueue(t, url, nil)
			s, p, err := openSink(t, host, fmt.Sprintf("{url: %q, routing_key: %s}", url, queue))
			if err != nil {
				t.Fatal(err)
			}
			return s, p, func() (all []string) {
				for {
					d, ok, err := ch.Get(queue, true)
					if err != nil || !ok {
						return all
					}
					all = append(all, string(d.Body))
				}
			}
		},
	})
}

func TestEveryPartSurvivesTheWayThroughRabbitMQ(t *testing.T) {
	url := brokerURL(t)
	from, ch := freshQueue(t, url, nil)
	to, _ := freshQueue(t, url, nil)
	stamp := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	headers := amqp.Table{
		"text": "ä", "bool": true, "byte": uint8(7), "int8": int8(-7), "short": int16(-300), "ushort": uint16(65000), "int": int32(-70000),
		"uint": uint32(4_000_000_000), "long": int64(1 << 60), "float": float32(1.5), "double": 2.25, "void": nil,
		"decimal": amqp.Decimal{Scale: 2, Value: 12345}, "bytes": []byte{0, 0xff}, "time": stamp, "not-utf8": "a\xff",
		"table": amqp.Table{"n": int16(1), "deep": amqp.Table{"list": []any{int8(1), "x", nil}}},
		"x-death": []any{amqp.Table{"count": int64(1), "reason": "rejected", "queue": "q", "time": stamp, "exchange": "",
			"routing-keys": []any{"q"}}},
		"timestamp_in_ms": stamp.UnixMilli() + 5,
	}
	sent := []amqp.Publishing{{
		Headers: headers, ContentType: "application/json", ContentEncoding: "gzip", DeliveryMode: amqp.Persistent, Priority: 3,
		CorrelationId: "c", ReplyTo: "answers", Expiration: "60000", MessageId: "m-1", Timestamp: stamp, Type: "t", UserId: "test",
		AppId: "a", Body: []byte("body"),
	}, {Body: []byte{}}}
	publish(t, ch, from, sent...)

	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", url, from)), in)
	in.waitFor(t, 2)
	got := records(in.take())
	if got[0].ID != "m-1" || got[0].Time != stamp.UnixNano()+5_000_000 || got[0].Topic != from || got[0].Attempt != 1 {
		t.Errorf("the record is %+v", got[0])
	}
	if got[1].Body == nil || len(got[1].Body) != 0 || got[1].Key != nil {
		t.Errorf("the empty message has body %v and key %v", got[1].Body, got[1].Key)
	}
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s}", url, to))
	extra := []flow.Record{
		{Key: []byte{}, Body: nil, Headers: []flow.Header{{Name: "r", Value: value.Int(1)}, {Name: "r", Value: value.String("2")}}},
		{Key: []byte{0xff}, Body: []byte("b")}, {Key: []byte("k"), Body: []byte{}},
	}
	var outs []*flow.Outgoing
	for _, r := range []flow.Record{*got[0], *got[1], extra[0], extra[1], extra[2]} {
		o, err := prepare(p, r)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, o)
	}
	send(t, s, outs...)
	if err := firstError(outs); err != nil {
		t.Fatal(err)
	}
	ds := get(t, ch, to, 1)
	want := sent[0]
	d := ds[0]
	back := amqp.Publishing{
		Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode, Priority: d.Priority,
		CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration, MessageId: d.MessageId,
		Timestamp: d.Timestamp.UTC(), Type: d.Type, UserId: d.UserId, AppId: d.AppId, Body: d.Body,
	}
	utc(back.Headers)
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("sent and received (-sent +received):\n%s", diff)
	}
	in2 := newIntake()
	run2 := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", url, to)), in2)
	in2.waitFor(t, 4)
	again := records(in2.take())
	type parts struct {
		NoBody, NoKey bool
		Body, Key     string
		R             string
	}
	var seen []parts
	for _, r := range again {
		x := parts{NoBody: r.Body == nil, NoKey: r.Key == nil, Body: string(r.Body), Key: string(r.Key)}
		for _, h := range r.Headers {
			if h.Name == "r" {
				x.R += h.Text() + ";"
			}
			if h.Name == keyHeader || h.Name == tombstoneHeader {
				t.Errorf("the header %s is still there", h.Name)
			}
		}
		seen = append(seen, x)
	}
	if diff := cmp.Diff([]parts{{NoKey: true}, {NoBody: true, R: "1;2;"}, {Body: "b", Key: "\xff"}, {Key: "k"}}, seen); diff != "" {
		t.Error(diff)
	}
	run.close(t)
	run2.close(t)
}

// utc sets all times in a table to UTC, in which the test wrote them.
func utc(t amqp.Table) {
	for name, v := range t {
		switch v := v.(type) {
		case time.Time:
			t[name] = v.UTC()
		case amqp.Table:
			utc(v)
		case []any:
			for _, e := range v {
				if t, ok := e.(amqp.Table); ok {
					utc(t)
				}
			}
		}
	}
}

func firstError(outs []*flow.Outgoing) error {
	for _, o := range outs {
		if o.Err != nil {
			return o.Err
		}
	}
	return nil
}

func TestUnsettledComeAgainAndSettledDoNot(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	publish(t, ch, queue, numbered(0, 100)...)
	text := fmt.Sprintf("{url: %q, queue: %s, prefetch: 200}", url, queue)
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), text), in)
	in.waitFor(t, 100)
	// Every third record stays: a prefix of one, holes, and single acknowledgements behind them.
	settle(run.source, in.take(), func(r *flow.Record) flow.End {
		if strings.HasSuffix(string(r.Body), "3") {
			return flow.Open
		}
		return flow.Delivered
	})
	in.waitFor(t, 10)
	again := in.take()
	for _, r := range records(again) {
		if !strings.HasSuffix(string(r.Body), "3") || r.Attempt != 2 || !r.Redelivered {
			t.Errorf("%s came again, attempt %d, redelivered %v", r.Body, r.Attempt, r.Redelivered)
		}
	}
	settle(run.source, again[:1], delivered)
	left := len(records(again[1:]))
	run.close(t)
	waitForReady(t, ch, queue, left)
}

func TestAHoleDoesNotKeepLaterRecordsUnacknowledged(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	publish(t, ch, queue, numbered(0, 30)...)
	host := connectortest.NewHost(t)
	host.Bounds.InFlight = 4 // batches of one
	in := newIntake()
	run := start(t, mustSource(t, host, fmt.Sprintf("{url: %q, queue: %s, prefetch: 10}", url, queue)), in)
	in.waitFor(t, 10)
	hole := in.take()
	settle(run.source, hole[1:], delivered)
	// The window is 10 with one place taken by the hole: the others come only if acknowledgements pass it by.
	in.waitFor(t, 9)
	settle(run.source, in.take(), delivered)
	in.waitFor(t, 9)
	settle(run.source, in.take(), delivered)
	in.waitFor(t, 2)
	settle(run.source, in.take(), delivered)
	settle(run.source, hole[:1], delivered)
	run.close(t)
	waitForReady(t, ch, queue, 0)
}

func TestBatchesHoldWhatHasPiledUp(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	publish(t, ch, queue, numbered(0, 2000)...)
	waitForReady(t, ch, queue, 2000)
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", url, queue))
	in := &slowIntake{intake: newIntake(), source: s}
	run := start(t, s, in)
	in.waitFor(t, 2000)
	if n := len(in.take()); n > 200 {
		t.Errorf("2000 records came in %d batches", n)
	}
	run.close(t)
}

// slowIntake settles what it takes, and takes a moment for each batch.
type slowIntake struct {
	*intake
	source flow.Source
}

func (i *slowIntake) Push(ctx context.Context, b *flow.Batch) error {
	time.Sleep(20 * time.Millisecond)
	if err := i.intake.Push(ctx, &flow.Batch{Records: b.Records}); err != nil {
		return err
	}
	settle(i.source, []*flow.Batch{b}, delivered)
	return nil
}

func TestUnroutableMessagesFailAndTheOthersDoNot(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf(`{url: %q, routing_key: "{{ body.q }}", allow: ["*"]}`, url))
	var all []string
	for i := range 600 {
		q := queue
		if i%7 == 3 {
			q = "nobody-has-this"
		}
		// Most look the same, so that a return can be told from its neighbours only by its place.
		all = append(all, fmt.Sprintf(`{"q":%q}`, q))
	}
	outs, err := prepareBodies(p, all...)
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	good := 0
	for i, o := range outs {
		if i%7 == 3 {
			wantError(t, o.Err, flow.Permanent, flow.CodeUnroutable)
			continue
		}
		if o.Err != nil {
			t.Errorf("message %d: %v", i, o.Err)
		}
		good++
	}
	waitForReady(t, ch, queue, good)
}

func TestMandatoryFalseLosesUnroutableMessagesByTheFilesWord(t *testing.T) {
	url := brokerURL(t)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: nobody-has-this, mandatory: false}", url))
	outs, err := prepareBodies(p, "1")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	if outs[0].Err != nil {
		t.Error(outs[0].Err)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	url := brokerURL(t)
	host := connectortest.NewHost(t)
	wrongPassword := strings.Replace(url, ":test@", ":canary-secret@", 1)
	if wrongPassword == url {
		t.Fatalf("the test expects the password test in the URL")
	}
	tests := []struct {
		name, source, sink string
		class              flow.Class
		code               flow.Code
	}{
		{name: "a queue", source: fmt.Sprintf("{url: %q, queue: not-there}", url), class: flow.ConfigError, code: flow.CodeMissing},
		{name: "an exchange", sink: fmt.Sprintf("{url: %q, exchange: not-there}", url), class: flow.ConfigError, code: flow.CodeMissing},
		{name: "a vhost", sink: fmt.Sprintf("{url: %q, exchange: x}", strings.TrimSuffix(url, "/")+"/nope"), class: flow.ConfigError, code: flow.CodeMissing},
		{name: "the password, source", source: fmt.Sprintf("{url: %q, queue: q}", wrongPassword), class: flow.ConfigError, code: flow.CodeAuth},
		{name: "the password, sink", sink: fmt.Sprintf("{url: %q, exchange: x}", wrongPassword), class: flow.ConfigError, code: flow.CodeAuth},
		{name: "a broker", source: `{url: "amqp://u:canary-secret@127.0.0.1:1/", queue: q}`, class: flow.Transient, code: flow.CodeUnavailable},
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
			if strings.Contains(fmt.Sprint(err), "canary-secret") {
				t.Errorf("the password is shown: %v", err)
			}
		})
	}
}

func TestAMissingExchangeFailsItsMessagesAlone(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	s, p := mustSink(t, connectortest.NewHost(t),
		fmt.Sprintf(`{url: %q, exchange: "{{ body.x }}", routing_key: %s, allow: ["*", ""]}`, url, queue))
	outs, err := prepareBodies(p, `{"x":""}`, `{"x":"not-there"}`, `{"x":""}`)
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs[0])
	send(t, s, outs[1])
	wantError(t, outs[1].Err, flow.ConfigError, flow.CodeMissing)
	if !strings.Contains(outs[1].Err.Error(), "not-there") {
		t.Errorf("the error does not name the exchange: %v", outs[1].Err)
	}
	send(t, s, outs[2])
	if outs[0].Err != nil || outs[2].Err != nil {
		t.Errorf("the others failed: %v, %v", outs[0].Err, outs[2].Err)
	}
	waitForReady(t, ch, queue, 2)
}

func TestHeadersThatWouldRouteCopiesAreLeftOut(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	other, _ := freshQueue(t, url, nil)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s}", url, queue))
	copies := []any{other}
	o, err := prepare(p, flow.Record{Body: []byte("x"), Headers: []flow.Header{headerOf("CC", copies), headerOf("BCC", copies)}})
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, o)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	waitForReady(t, ch, queue, 1)
	waitForReady(t, ch, other, 0)
}

func TestAForeignUserIDBecomesAHeader(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s}", url, queue))
	o, err := prepare(p, flow.Record{Body: []byte("x"), Props: &flow.Properties{UserID: "somebody"}})
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, o)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	if d := get(t, ch, queue, 1)[0]; d.UserId != "" || d.Headers[userHeader] != "somebody" {
		t.Errorf("user_id %q, headers %v", d.UserId, d.Headers)
	}
}

func TestADeletedQueueEndsTheLaneAndTheSourceComesBack(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	publish(t, ch, queue, numbered(0, 1)...)
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, declare: {}}", url, queue)), in)
	in.waitFor(t, 1)
	first := in.take()
	lane := first[0].Lane
	if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lane.Abandoned():
	case <-time.After(patience):
		t.Fatal("the lane was not abandoned")
	}
	settle(run.source, first, delivered)
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	publish(t, ch, queue, numbered(1, 2)...)
	in.waitFor(t, 1)
	next := in.take()
	if diff := cmp.Diff(values(1, 2), bodies(next)); diff != "" {
		t.Error(diff)
	}
	if next[0].Lane == lane {
		t.Error("the new consumer has the old lane")
	}
	settle(run.source, next, delivered)
	run.close(t)
}
