package amqp

import (
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"pgregory.net/rapid"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// shown is a header as a test compares it.
func shown(h flow.Header) string {
	return fmt.Sprintf("%s %s %q", h.Name, h.Value.Kind(), h.Text())
}

func shownAll(hs []flow.Header) (all []string) {
	for _, h := range hs {
		all = append(all, shown(h))
	}
	return all
}

// received are the headers of a record that is published and read again.
func republished(t *testing.T, connector string, r flow.Record) ([]flow.Header, *amqp.Publishing) {
	t.Helper()
	pub, err := prepared(t, connector, r, 0)
	if err != nil {
		t.Fatal(err)
	}
	again := flow.Record{}
	msg := &pub.message
	fillRecord(&again, &amqp.Delivery{Headers: msg.Headers, CorrelationId: msg.CorrelationId, MessageId: msg.MessageId, Body: r.Body}, "q")
	return again.Headers, msg
}

func TestHeadersOfKafkaAreTextWhereTheyCanBe(t *testing.T) {
	b := func(name, text string) flow.Header { return flow.Header{Name: name, Value: value.Bytes([]byte(text))} }
	pub, err := prepared(t, "kafka", flow.Record{Body: []byte{}, Headers: []flow.Header{
		b("text", "ä"), b("empty", ""), b("bytes", "a\xff"), b("hinted", "abc"), b("millstream-ht-hinted", "bytes"),
		{Name: "null", Value: value.Bytes(nil)}, {Name: "n", Value: value.Int(4)}, b("millstream-ht-odd", "bytes"),
	}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	delete(pub.message.Headers, millisHeader)
	want := amqp.Table{"text": "ä", "empty": "", "bytes": []byte("a\xff"), "hinted": []byte("abc"), "null": nil, "n": int64(4), "millstream-ht-odd": "bytes"}
	if diff := cmp.Diff(want, pub.message.Headers); diff != "" {
		t.Error(diff)
	}
}

func TestHeadersOfWatermillProgramsAreTextWhateverTheyWere(t *testing.T) {
	hs := []flow.Header{{Name: "_watermill_message_uuid", Value: value.Bytes([]byte("u"))}, {Name: "raw", Value: value.Bytes([]byte{0xff})},
		{Name: "none", Value: value.Bytes(nil)}, {Name: "n", Value: value.Int(1)}}
	pub, err := prepared(t, "kafka", flow.Record{Key: []byte{0xfe}, Headers: hs}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range pub.message.Headers {
		if _, ok := v.(string); !ok {
			t.Errorf("%s is a %T", name, v)
		}
	}
}

func TestRepeatedHeadersComeApartAgain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SampledFrom([]string{"a", "b,c", "key", "correlation_id"})
		var in []flow.Header
		for i := range rapid.IntRange(1, 6).Draw(rt, "count") {
			h := flow.Header{Name: names.Draw(rt, "name")}
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				h.Value = value.Int(int64(i))
			case 1:
				h.Value = value.Bool(i%2 == 0)
			default:
				h.Value = value.Bytes(rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(rt, "bytes"))
			}
			in = append(in, h)
		}
		first, _ := republished(t, "kafka", flow.Record{Body: []byte{}, Headers: in, ID: "m"})
		second, _ := republished(t, "amqp", flow.Record{Body: []byte{}, Headers: first, ID: "m"})
		for i, hs := range [][]flow.Header{first, second} {
			if diff := cmp.Diff(byName(in), byName(hs)); diff != "" {
				rt.Fatalf("hop %d: %s", i+1, diff)
			}
		}
	})
}

// byName lists the texts of headers by their names: a table has no order among them.
func byName(hs []flow.Header) map[string][]string {
	all := map[string][]string{}
	for _, h := range hs {
		if h.Name != millisHeader {
			all[h.Name] = append(all[h.Name], fmt.Sprintf("%q", h.Text()))
		}
	}
	return all
}

func TestACorrelationIDInBase64IsBytesAgainAndStaysMarkedBetweenBrokers(t *testing.T) {
	d := &amqp.Delivery{CorrelationId: "/wE=", Headers: amqp.Table{"millstream-b64": "x,correlation_id", "a": "1"}}
	r := flow.Record{}
	fillRecord(&r, d, "q")
	if got := (flow.Header{Value: r.Props.CorrelationID}); got.Text() != "\xff\x01" {
		t.Errorf("the correlation id is %s", shown(got))
	}
	if diff := cmp.Diff([]string{`a string "1"`, `millstream-b64 string "x"`}, shownAll(r.Headers)); diff != "" {
		t.Error(diff)
	}
	pub, err := prepared(t, "amqp", r, 0)
	if err != nil || pub.message.CorrelationId != "/wE=" || pub.message.Headers["millstream-b64"] != "x,correlation_id" {
		t.Errorf("got %+v, error %v", pub, err)
	}
	wrong := flow.Record{}
	fillRecord(&wrong, &amqp.Delivery{CorrelationId: "not base64", Headers: amqp.Table{"millstream-b64": "correlation_id"}}, "q")
	if got := (flow.Header{Value: wrong.Props.CorrelationID}); got.Text() != "not base64" || len(wrong.Headers) != 1 {
		t.Errorf("what is no base64 became %s, headers %v", shown(got), wrong.Headers)
	}
}

func TestAKeyMayBeBase64(t *testing.T) {
	r := flow.Record{}
	fillRecord(&r, &amqp.Delivery{Headers: amqp.Table{"millstream-key": "/wE=", "millstream-b64": "key"}}, "q")
	if string(r.Key) != "\xff\x01" || len(r.Headers) != 0 {
		t.Errorf("key %q, headers %v", r.Key, r.Headers)
	}
}

func TestHeadersThatBecameNothingElseStayHeaders(t *testing.T) {
	r := flow.Record{}
	fillRecord(&r, &amqp.Delivery{Body: []byte("x"), Headers: amqp.Table{"millstream-tombstone": true, "millstream-key": int32(5), "millstream-b64": int32(1),
		"a": "no list", "millstream-ht-a": "repeated"}}, "q")
	want := []string{`a string "no list"`, `millstream-b64 int "1"`, `millstream-ht-a string "repeated"`, `millstream-key int "5"`, `millstream-tombstone bool "true"`}
	if diff := cmp.Diff(want, shownAll(r.Headers)); diff != "" || r.Body == nil || r.Key != nil {
		t.Errorf("body %q, key %q: %s", r.Body, r.Key, diff)
	}
}

func TestAMessageWithoutATimestampGetsNoneBetweenBrokers(t *testing.T) {
	for connector, want := range map[string]bool{"amqp": false, "kafka": true} {
		pub, err := prepared(t, connector, flow.Record{Body: []byte{}, Props: &flow.Properties{}}, 0)
		if err != nil || pub.message.Timestamp.IsZero() == want {
			t.Errorf("%s: %+v, error %v", connector, pub, err)
		}
	}
	pub, err := prepared(t, "amqp", flow.Record{Body: []byte{}}, 0, func(m *flow.Message) { m.SetTime(time.UnixMilli(1500)) })
	if err != nil || pub.message.Timestamp.Unix() != 1 || pub.message.Headers[millisHeader] != int64(1500) {
		t.Errorf("got %+v, error %v", pub, err)
	}
}

func TestEveryTypeOfATableIsTheSameAfterAHop(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := amqp.Table{}
		for i := range rapid.IntRange(0, 5).Draw(rt, "count") {
			in[fmt.Sprint("h", i)] = anyField(rt, 0)
		}
		hs, msg := republished(t, "amqp", flow.Record{Body: []byte{}, Headers: receive(in).headers(), ID: "m"})
		if diff := cmp.Diff(in, msg.Headers, cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" && len(in) > 0 {
			rt.Fatal(diff)
		}
		if len(hs) != len(in) {
			rt.Fatalf("%d headers of %d", len(hs), len(in))
		}
	})
}

// anyField draws a field of any type that AMQP has.
func anyField(rt *rapid.T, depth int) any {
	most := 14
	if depth > 2 {
		most = 12
	}
	switch rapid.IntRange(0, most).Draw(rt, "type") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(rt, "bool")
	case 2:
		return rapid.Int8().Draw(rt, "int8")
	case 3:
		return rapid.Uint8().Draw(rt, "uint8")
	case 4:
		return rapid.Int16().Draw(rt, "int16")
	case 5:
		return rapid.Int32().Draw(rt, "int32")
	case 6:
		return rapid.Int64().Draw(rt, "int64")
	case 7:
		return rapid.Float32().Draw(rt, "float32")
	case 8:
		return rapid.Float64().Draw(rt, "float64")
	case 9:
		return amqp.Decimal{Scale: rapid.Uint8Range(0, 9).Draw(rt, "scale"), Value: rapid.Int32().Draw(rt, "decimal")}
	case 10:
		return time.Unix(rapid.Int64Range(0, 1<<33).Draw(rt, "time"), 0).UTC()
	case 11:
		return rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(rt, "bytes")
	case 12:
		return string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(rt, "text"))
	case 13:
		l := []any{}
		for range rapid.IntRange(0, 3).Draw(rt, "items") {
			l = append(l, anyField(rt, depth+1))
		}
		return l
	default:
		t := amqp.Table{}
		for i := range rapid.IntRange(0, 3).Draw(rt, "entries") {
			t[fmt.Sprint("e", i)] = anyField(rt, depth+1)
		}
		return t
	}
}

func TestWhatKafkaSentIsTheSameWhenItComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var in []flow.Header
		for i := range rapid.IntRange(0, 5).Draw(rt, "count") {
			b := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(rt, "value")
			if rapid.IntRange(0, 9).Draw(rt, "null") == 0 {
				b = nil
			}
			in = append(in, flow.Header{Name: fmt.Sprint("h", i), Value: value.Bytes(b)})
		}
		key := rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(rt, "key")
		pub, err := prepared(t, "kafka", flow.Record{Key: key, Headers: in, Topic: "o"}, 0)
		if err != nil {
			rt.Fatal(err)
		}
		r := flow.Record{}
		fillRecord(&r, &amqp.Delivery{Headers: pub.message.Headers, Body: []byte{}}, "q")
		if r.Body != nil || r.Key == nil || string(r.Key) != string(key) {
			rt.Fatalf("body %v, key %q of %q", r.Body, r.Key, key)
		}
		if diff := cmp.Diff(byName(in), byName(r.Headers)); diff != "" {
			rt.Fatal(diff)
		}
		for _, h := range r.Headers {
			if h.Value.Kind() == value.KindBytes && utf8.Valid(h.Value.BytesValue()) {
				rt.Fatalf("%s could be text", shown(h))
			}
		}
	})
}

func TestWhereManyAddressesGoToOneEachMessageTellsItsOwn(t *testing.T) {
	tests := []struct {
		name, connector string
		extra           map[string]any
		want            any
	}{
		{"one topic", "kafka", nil, nil},
		{"several topics", "kafka", map[string]any{"several_topics": true}, "orders.de"},
		{"another routing key", "amqp", map[string]any{"exchange": "a/b", "routing_key": "k.1%"}, "a%2Fb/k.1%25"},
		{"the same place", "amqp", map[string]any{"exchange": "x", "routing_key": "k"}, nil},
		{"the queue itself", "amqp", map[string]any{"exchange": "", "routing_key": "orders.de"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			msg := preparedWith(t, test.connector, test.extra, flow.Record{Body: []byte{}, Topic: "orders.de", ID: "m"})
			if got := msg.Headers["millstream-src-address"]; got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
