package amqp

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
)

// prepared is what is published of a record that waited for a while.
func prepared(t *testing.T, connector string, r flow.Record, waited time.Duration, change ...func(m *flow.Message)) (*publishing, error) {
	t.Helper()
	return preparedOf(t, &flow.Env{Connector: connector}, r, waited, change...)
}

// preparedWith is prepared for a source that tells more about its records.
func preparedWith(t *testing.T, connector string, extra map[string]any, r flow.Record) *amqp.Publishing {
	t.Helper()
	env := &flow.Env{Connector: connector, Extra: func(*flow.Record) map[string]any { return extra }}
	pub, err := preparedOf(t, env, r, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &pub.message
}

func preparedOf(t *testing.T, env *flow.Env, r flow.Record, waited time.Duration, change ...func(m *flow.Message)) (*publishing, error) {
	t.Helper()
	cfg := &Sink{}
	var built config.Sink
	connectortest.Build(t, "{url: amqp://h/, exchange: x, routing_key: k}", cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	paths := document.NewPaths()
	paths.Freeze()
	arrived := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m, o := &flow.Message{}, &flow.Outgoing{}
	env.Paths, env.Now = paths, func() time.Time { return arrived.Add(waited) }
	m.Open(env, &flow.Batch{Records: []flow.Record{r}, Arrived: arrived.UnixNano()}, 0)
	for _, c := range change {
		c(m)
	}
	o.Fill(m, r.Body)
	if err := built.Preparer.Prepare(m, o); err != nil {
		return nil, err
	}
	return o.Native.(*publishing), nil
}

func TestOnlyWhatAMQPSaysIsTransientGoesOutTransient(t *testing.T) {
	for _, test := range []struct {
		connector string
		props     *flow.Properties
		want      uint8
	}{
		{"amqp", &flow.Properties{}, amqp.Transient}, {"amqp", &flow.Properties{Durable: true}, amqp.Persistent},
		{"kafka", nil, amqp.Persistent}, {"memory", &flow.Properties{}, amqp.Persistent},
	} {
		pub, err := prepared(t, test.connector, flow.Record{Props: test.props}, 0)
		if err != nil || pub.message.DeliveryMode != test.want {
			t.Errorf("%s %+v: %+v, error %v", test.connector, test.props, pub, err)
		}
	}
}

// TestAMessageOrDeadLetterKeepsTheDeliveryModeThatItCameWith begins with the delivery: without a mode it is transient to RabbitMQ.
func TestAMessageOrDeadLetterKeepsTheDeliveryModeThatItCameWith(t *testing.T) {
	for came, want := range map[uint8]uint8{0: amqp.Transient, amqp.Transient: amqp.Transient, amqp.Persistent: amqp.Persistent} {
		for what, change := range map[string]func(*flow.Message){
			"a message": func(*flow.Message) {},
			"a message with an error": func(m *flow.Message) {
				m.SetFailure(flow.Errorf(flow.Permanent, flow.CodeUnroutable, "no queue"))
			},
		} {
			var r flow.Record
			fillRecord(&r, &amqp.Delivery{DeliveryMode: came, Body: []byte("x")}, "q")
			pub, err := prepared(t, "amqp", r, 0, change)
			if err != nil || pub.message.DeliveryMode != want {
				t.Errorf("%s of mode %d: %+v, error %v", what, came, pub, err)
			}
		}
	}
}

func TestTheExpirationIsWhatIsLeft(t *testing.T) {
	r := flow.Record{Props: &flow.Properties{TTL: time.Second}}
	pub, err := prepared(t, "amqp", r, 400*time.Millisecond+time.Microsecond)
	if err != nil || pub.message.Expiration != "600" {
		t.Errorf("got %+v, error %v", pub, err)
	}
	_, err = prepared(t, "amqp", r, time.Second)
	wantError(t, err, flow.Permanent, flow.CodeExpired)
}

func TestRepeatedHeadersBecomeOneJSONArray(t *testing.T) {
	pub, err := prepared(t, "kafka", flow.Record{Body: []byte{}, Headers: []flow.Header{
		flow.TextHeader("a", "1"), flow.TextHeader("once", "x"), {Name: "a", Value: value.Int(2)}, {Name: "a", Value: value.Bytes([]byte("b"))},
	}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	delete(pub.message.Headers, millisHeader)
	if diff := cmp.Diff(amqp.Table{"a": `["1",2,"b"]`, "millstream-ht-a": "repeated", "once": "x"}, pub.message.Headers); diff != "" {
		t.Error(diff)
	}
}

func TestElementsOfASplitHaveMessageIDsOfTheirOwn(t *testing.T) {
	r := flow.Record{ID: "m-1", Props: &flow.Properties{MessageID: "m-1"}}
	for want, change := range map[string]func(m *flow.Message){
		"m-1": func(*flow.Message) {}, "m-1/3/component": func(m *flow.Message) { m.ExtendID(3) },
	} {
		pub, err := prepared(t, "amqp", r, 0, change)
		if err != nil || pub.message.MessageId != want {
			t.Errorf("got %+v, error %v, want %s", pub, err, want)
		}
	}
}

func TestAMessageKeepsItsIDAndGetsOneWhereItHasNoneThatCanBeTold(t *testing.T) {
	carried := func(id string) []flow.Header { return []flow.Header{flow.TextHeader("millstream-id", id)} }
	split := func(m *flow.Message) { m.ExtendID(3) }
	place := flow.Record{Topic: "o", Partition: 2, Offset: 7}
	tests := []struct {
		name, connector string
		record          flow.Record
		change          func(m *flow.Message)
		id, header      string
	}{
		{"its own", "amqp", flow.Record{ID: "m", Props: &flow.Properties{MessageID: "m"}}, nil, "m", ""},
		{"none, and no place that stays", "amqp", flow.Record{Topic: "q", Offset: 7}, nil, "", ""},
		{"an element of it", "amqp", flow.Record{Topic: "q", Offset: 7}, split, "", ""},
		{"the place in Kafka", "kafka", place, nil, "kafka:o/2@7/component", ""},
		{"an element of it", "kafka", place, split, "kafka:o/2@7/3/component", ""},
		{"of an earlier pipeline", "kafka", flow.Record{Offset: 9, Headers: carried("kafka:o/2@7/first")}, nil, "kafka:o/2@7/first/component", ""},
		{"its own beside it", "amqp", flow.Record{ID: "m", Headers: carried("x/y"), Props: &flow.Properties{MessageID: "m"}}, nil, "m", "x/y/component"},
		{"an element beside it", "amqp", flow.Record{ID: "m", Headers: carried("x/y"), Props: &flow.Properties{MessageID: "m"}}, split, "x/y/3/component", ""},
	}
	for _, test := range tests {
		t.Run(test.name+" "+test.connector, func(t *testing.T) {
			if test.change == nil {
				test.change = func(*flow.Message) {}
			}
			test.record.Body = []byte{}
			pub, err := prepared(t, test.connector, test.record, 0, test.change)
			if err != nil {
				t.Fatal(err)
			}
			header, _ := pub.message.Headers["millstream-id"].(string)
			if pub.message.MessageId != test.id || header != test.header {
				t.Errorf("message_id %q, header %q", pub.message.MessageId, header)
			}
		})
	}
}

func TestPropertiesThatWereHeadersBecomePropertiesAgain(t *testing.T) {
	all := []flow.Header{
		flow.TextHeader("Content-Type", "text/plain"), flow.TextHeader("content-encoding", "gzip"), flow.TextHeader("millstream-message-id", "m"),
		flow.TextHeader("millstream-type", "t"), flow.TextHeader("millstream-app-id", "a"), flow.TextHeader("millstream-correlation-id", "c"),
		flow.TextHeader("millstream-priority", "7"), flow.TextHeader("millstream-ttl-ms", "9"), flow.TextHeader("millstream-expires-at", "1767323055000"),
	}
	tests := []struct {
		name      string
		connector string
		headers   []flow.Header
		props     amqp.Publishing
		table     amqp.Table
	}{
		{"all", "kafka", all, amqp.Publishing{
			ContentType: "text/plain", ContentEncoding: "gzip", MessageId: "m", Type: "t", AppId: "a", CorrelationId: "c", Priority: 7, Expiration: "9000",
		}, amqp.Table{}},
		{"the last of a name", "kafka", []flow.Header{flow.TextHeader("content-type", "a"), flow.TextHeader("content-type", "b")},
			amqp.Publishing{ContentType: "b"}, amqp.Table{}},
		{"what does not fit", "kafka", []flow.Header{flow.TextHeader("millstream-priority", "256"), flow.TextHeader("millstream-ttl-ms", "9")},
			amqp.Publishing{}, amqp.Table{"millstream-priority": "256", "millstream-ttl-ms": "9"}},
		{"another user", "kafka", []flow.Header{flow.TextHeader("millstream-user-id", "u")}, amqp.Publishing{}, amqp.Table{"millstream-user-id": "u"}},
		{"the user who logs in", "kafka", []flow.Header{flow.TextHeader("millstream-user-id", "guest")}, amqp.Publishing{UserId: "guest"}, amqp.Table{}},
		{"bytes in a correlation id", "kafka", []flow.Header{{Name: "millstream-correlation-id", Value: value.Bytes([]byte{0xff, 1})}},
			amqp.Publishing{CorrelationId: "/wE="}, amqp.Table{"millstream-b64": "correlation_id"}},
		{"a way back", "kafka", []flow.Header{flow.TextHeader("millstream-reply-to", "q")}, amqp.Publishing{}, amqp.Table{"millstream-reply-to": "q"}},
		{"from AMQP", "amqp", all[2:3], amqp.Publishing{}, amqp.Table{"millstream-message-id": "m"}},
		{"for programs with watermill-amqp", "kafka", []flow.Header{flow.TextHeader("content-type", "a"), flow.TextHeader("_watermill_message_uuid", "u")},
			amqp.Publishing{ContentType: "a"}, amqp.Table{"content-type": "a", "_watermill_message_uuid": "u"}},
		{"a dead letter does not expire", "kafka", append(all[7:9:9], flow.TextHeader("millstream-error-code", "x")), amqp.Publishing{},
			amqp.Table{"millstream-ttl-ms": "9", "millstream-expires-at": "1767323055000", "millstream-error-code": "x"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pub, err := prepared(t, test.connector, flow.Record{Body: []byte{}, Headers: test.headers}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			got := pub.message
			if diff := cmp.Diff(test.table, got.Headers); diff != "" {
				t.Error(diff)
			}
			got.Headers, got.Body, got.DeliveryMode, got.Timestamp = nil, nil, 0, time.Time{}
			if test.props.MessageId == "" && test.connector == "kafka" {
				test.props.MessageId = "kafka:/0@0/component"
			}
			if diff := cmp.Diff(test.props, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAMessageThatHasExpiredElsewhereIsAnError(t *testing.T) {
	_, err := prepared(t, "kafka", flow.Record{Headers: []flow.Header{flow.TextHeader("millstream-expires-at", "1767323046000")}}, time.Second)
	wantError(t, err, flow.Permanent, flow.CodeExpired)
}

func TestACorrelationIDOfBytesGoesOnBetweenBrokersAsItIs(t *testing.T) {
	id := value.Bytes([]byte{0xff, 1})
	pub, err := prepared(t, "amqp", flow.Record{Body: []byte{}, Props: &flow.Properties{CorrelationID: id}}, 0)
	if err != nil || pub.message.CorrelationId != "\xff\x01" || len(pub.message.Headers) != 0 {
		t.Errorf("got %+v, error %v", pub, err)
	}
	pub, err = prepared(t, "mqtt", flow.Record{Body: []byte{}, Props: &flow.Properties{CorrelationID: id}}, 0)
	if err != nil || pub.message.CorrelationId != "/wE=" || pub.message.Headers["millstream-b64"] != "correlation_id" {
		t.Errorf("got %+v, error %v", pub, err)
	}
}

func TestExpressionsSeeTheProperties(t *testing.T) {
	r := &flow.Record{}
	fillRecord(r, &amqp.Delivery{Exchange: "x", RoutingKey: "k", DeliveryMode: amqp.Persistent}, "q")
	if diff := cmp.Diff(map[string]any{"exchange": "x", "routing_key": "k", "persistent": true}, extra(r)); diff != "" {
		t.Error(diff)
	}
	fillRecord(r, &amqp.Delivery{ContentType: "a", ContentEncoding: "b", CorrelationId: "c", MessageId: "d", ReplyTo: "e", Type: "f", AppId: "g",
		UserId: "h", Priority: 3, Expiration: "5"}, "q")
	want := map[string]any{"exchange": "", "routing_key": "", "persistent": false, "content_type": "a", "content_encoding": "b",
		"correlation_id": "c", "message_id": "d", "reply_to": "e", "type": "f", "app_id": "g", "user_id": "h", "priority": 3, "expiration": 5}
	if diff := cmp.Diff(want, extra(r)); diff != "" {
		t.Error(diff)
	}
}
