package kafka

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
)

// sentHeaders are the headers of a record as Kafka gets them.
func sentHeaders(t *testing.T, env *flow.Env, r flow.Record, change ...func(m *flow.Message)) []kgo.RecordHeader {
	t.Helper()
	paths := document.NewPaths()
	paths.Freeze()
	env.Paths, env.Now = paths, time.Now
	m, o := &flow.Message{}, &flow.Outgoing{}
	m.Open(env, &flow.Batch{Records: []flow.Record{r}, Arrived: time.Now().UnixNano()}, 0)
	for _, c := range change {
		c(m)
	}
	o.Fill(m, r.Body)
	if err := (&preparer{constant: "x", name: "out"}).Prepare(m, o); err != nil {
		t.Fatal(err)
	}
	if extra, ok := o.Native.(*prepared); ok {
		return extra.headers
	}
	return nil
}

func shown(hs []kgo.RecordHeader) (all []string) {
	for _, h := range hs {
		all = append(all, h.Key+"="+string(h.Value))
	}
	return all
}

func TestOnlyWhatWasNotATopicsRecordAloneHasAnIDOfItsOwn(t *testing.T) {
	place := flow.Record{Topic: "o", Partition: 2, Offset: 7}
	first := place
	first.Headers = []flow.Header{{Name: "millstream-id", Value: value.Bytes([]byte("kafka:in/0@1/first"))}}
	split := func(m *flow.Message) { m.ExtendID(3) }
	same := func(*flow.Message) {}
	for _, test := range []struct {
		name, connector string
		record          flow.Record
		change          func(m *flow.Message)
		want            []string
	}{
		{"a record", "kafka", place, same, nil},
		{"an element", "kafka", place, split, []string{"millstream-id=kafka:o/2@7/3/out"}},
		{"of an earlier pipeline", "kafka", first, same, []string{"millstream-id=kafka:in/0@1/first/out"}},
		{"an element of it", "kafka", first, split, []string{"millstream-id=kafka:in/0@1/first/3/out"}},
		{"a message with an id", "amqp", flow.Record{ID: "m"}, same, []string{"millstream-id=m/out"}},
		{"a message whose place is none", "amqp", place, split, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, shown(sentHeaders(t, &flow.Env{Connector: test.connector}, test.record, test.change))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARecordOfOneOfSeveralTopicsSaysWhich(t *testing.T) {
	for topics, want := range map[string][]string{
		"[a]": nil, "[a, b]": {"millstream-src-address=b"}, "[/a-.+/]": {"millstream-src-address=b"},
	} {
		cfg := &Source{}
		built := extraOf(t, cfg, "{brokers: ['h:9092'], group: g, topics: "+topics+"}")
		if diff := cmp.Diff(want, shown(sentHeaders(t, &flow.Env{Connector: "kafka", Extra: built}, flow.Record{Topic: "b"}))); diff != "" {
			t.Errorf("%s: %s", topics, diff)
		}
	}
}

func TestAnAddressIsWhatAMessageBringsAlongOrItsQueueIsNot(t *testing.T) {
	at := func(exchange, key string) *flow.Env {
		return &flow.Env{Connector: "amqp", Extra: func(*flow.Record) map[string]any {
			return map[string]any{"exchange": exchange, "routing_key": key}
		}}
	}
	if got := sentHeaders(t, at("", "q"), flow.Record{Topic: "q"}); got != nil {
		t.Errorf("a message to the queue itself has %v", shown(got))
	}
	earlier := []flow.Header{flow.TextHeader("millstream-src-address", "first")}
	if diff := cmp.Diff([]string{"millstream-src-address=first"}, shown(sentHeaders(t, at("x", "k"), flow.Record{Topic: "q", Headers: earlier}))); diff != "" {
		t.Error(diff)
	}
}

func TestTypesWithinTablesSurviveKafka(t *testing.T) {
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	in := value.Map(map[string]any{"at": stamp, "raw": []byte{0, 0xff}, "f": 2.0, "g": 2.5, "nan": math.NaN(), "n": 7, "a b/c=": []any{[]byte("x"), nil, "s"}})
	text, hint, _ := hinted(in)
	if want := `{"a b/c=":["eA==",null,"s"],"at":"2026-01-02T03:04:05Z","f":2,"g":2.5,"n":7,"nan":"NaN","raw":"AP8="}`; text != want {
		t.Errorf("the text is %s", text)
	}
	if want := "map /a+b%2Fc%3D/0=bytes /at=time /f=float /nan=float /raw=bytes"; hint != want {
		t.Errorf("the hint is %s", hint)
	}
	out, ok := typed([]byte(text), hint)
	if again, its, _ := hinted(out); !ok || again != text || its != hint {
		t.Errorf("came back as %s, %s", again, its)
	}
	m := out.Map()
	if f, ok := m["nan"].(float64); !ok || !math.IsNaN(f) || m["at"] != stamp || m["f"] != 2.0 {
		t.Errorf("got %v", m)
	}
	for _, lie := range []string{"map /x=time", "map /f/0=bytes", "map /raw=uuid", "map /f=bytes", "list /0=float", "map f=float", "map  /f=float"} {
		if _, ok := typed([]byte(`{"f":2,"raw":"AP8="}`), lie); ok {
			t.Errorf("%q is believed", lie)
		}
	}
}

func TestEveryTypeOfAHeaderIsTheSameBehindKafka(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var in, want []flow.Header
		for range rapid.IntRange(0, 5).Draw(rt, "count") {
			h := flow.Header{Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name"), Value: value.Unbox(anyValue(rt, 0))}
			in = append(in, h)
			switch k := h.Value.Kind(); {
			case k == value.KindString:
				want = append(want, flow.Header{Name: h.Name, Value: value.Bytes([]byte(h.Value.Str()))})
			case k == value.KindBytes && utf8.Valid(h.Value.BytesValue()):
				want = append(want, h, flow.TextHeader("millstream-ht-"+h.Name, "bytes"))
			default:
				want = append(want, h)
			}
		}
		sent := sentHeaders(t, &flow.Env{Connector: "amqp"}, flow.Record{Headers: in})
		got := fillHeaders(nil, sent)
		if diff := cmp.Diff(texts(want), texts(got)); diff != "" {
			rt.Fatal(diff)
		}
		if diff := cmp.Diff(shown(sent), shown(sentHeaders(t, &flow.Env{Connector: "kafka"}, flow.Record{Headers: got}))); diff != "" {
			rt.Fatalf("a hop from Kafka to Kafka changes headers: %s", diff)
		}
	})
}

func texts(hs []flow.Header) (all []string) {
	for _, h := range hs {
		text, hint, _ := hinted(h.Value)
		if h.Name == "millstream-ht-a" || h.Name == "millstream-ht-b" || h.Name == "millstream-ht-c" {
			hint = "bytes"
		}
		all = append(all, fmt.Sprintf("%s %s %q", h.Name, hint, text))
	}
	return all
}

// anyValue draws a value of any type that a header can have.
func anyValue(rt *rapid.T, depth int) any {
	most := 8
	if depth > 2 {
		most = 6
	}
	switch rapid.IntRange(0, most).Draw(rt, "type") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(rt, "bool")
	case 2:
		return rapid.Int().Draw(rt, "int")
	case 3:
		return rapid.Float64().Draw(rt, "float")
	case 4:
		return rapid.String().Draw(rt, "text")
	case 5:
		return rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(rt, "bytes")
	case 6:
		return time.Unix(rapid.Int64Range(0, 1<<33).Draw(rt, "time"), rapid.Int64Range(0, 999_999_999).Draw(rt, "ns")).UTC()
	case 7:
		l := []any{}
		for range rapid.IntRange(0, 3).Draw(rt, "items") {
			l = append(l, anyValue(rt, depth+1))
		}
		return l
	default:
		m := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(rt, "entries") {
			m[rapid.StringN(0, 4, -1).Draw(rt, "name")] = anyValue(rt, depth+1)
		}
		return m
	}
}

// Messages of an optional sink outlive the memory of their source, in retries too.
func TestWhatIsSentIsNotTheMemoryOfTheSource(t *testing.T) {
	_, brokers := fakeCluster(t, 1, "out")
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: out}", brokers))
	memory := []byte("body key bytes text")
	text := string(memory[15:])
	r := flow.Record{Body: memory[:4], Key: memory[5:8], Headers: []flow.Header{
		{Name: "bytes", Value: value.Bytes(memory[9:14])}, {Name: "text", Value: value.String(text)}, {Name: "none", Value: value.Bytes(nil)},
		{Name: "empty", Value: value.Bytes(memory[:0])},
	}}
	o, err := prepare(p, "kafka", r)
	if err != nil {
		t.Fatal(err)
	}
	o.Own() // as for an optional sink, whose record is settled then
	for i := range memory {
		memory[i] = '!'
	}
	for range 2 {
		send(t, s, o)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	for _, got := range fetchAll(t, brokers, "out", 2) {
		want := []kgo.RecordHeader{{Key: "bytes", Value: []byte("bytes")}, {Key: "text", Value: []byte("text")}, {Key: "none"}, {Key: "empty", Value: []byte{}}}
		if diff := cmp.Diff(want, got.Headers); diff != "" || string(got.Value) != "body" || string(got.Key) != "key" {
			t.Errorf("value %q, key %q: %s", got.Value, got.Key, diff)
		}
	}
}

// extraOf is what a source of that configuration tells about its records.
func extraOf(t *testing.T, cfg *Source, text string) (extra func(*flow.Record) map[string]any) {
	t.Helper()
	_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { extra = cfg.BuildSource(b).Extra })
	noMistakes(t, findings)
	return extra
}
