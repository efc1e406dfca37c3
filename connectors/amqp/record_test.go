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
	cfg := &Sink{}
	var built config.Sink
	connectortest.Build(t, "{url: amqp://h/, exchange: x, routing_key: k}", cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	paths := document.NewPaths()
	paths.Freeze()
	arrived := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m, o := &flow.Message{}, &flow.Outgoing{}
	m.Open(&flow.Env{Connector: connector, Paths: paths, Now: func() time.Time { return arrived.Add(waited) }},
		&flow.Batch{Records: []flow.Record{r}, Arrived: arrived.UnixNano()}, 0)
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
	if diff := cmp.Diff(amqp.Table{"a": `["1",2,"b"]`, "once": "x"}, pub.message.Headers); diff != "" {
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
