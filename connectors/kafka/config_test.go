package kafka

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
)

const literalPassword = "literal-secret: password is written into the file, for everybody who reads it"

func TestSinkOptionsAreChecked(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{text: "{brokers: ['h:9092'], topic: orders, key: body.id, partition: 'int(key)', compression: lz4}"},
		{text: "{brokers: ['h:9092'], topic: 'orders.{{ body.kind }}'}"},
		{text: "{brokers: ['h:9092'], topic: '{{ body.t }}', allow: ['a.*']}"},
		{text: "{brokers: ['h:9092'], topic: '{{ body.t }}'}", want: []string{"open-destination: the message alone decides which topic it goes to"}},
		{text: "{brokers: ['h:9092'], topic: body.kind}",
			want: []string{`expression-in-literal: "body.kind" is a literal and reads like a path of the message`}},
		{text: "{brokers: ['h:9092'], topic: 'a b'}", want: []string{`bad-name: the topic's name "a b" holds " "`}},
		{text: "{brokers: ['h:9092'], topic: ..}", want: []string{`bad-name: a topic can not be named ".."`}},
		{text: "{brokers: ['h:9092'], topic: " + strings.Repeat("x", 250) + "}", want: []string{"bad-name: the topic's name has 250 bytes, the most is 249"}},
		{text: "{brokers: ['kafka://h:9092'], topic: x}", want: []string{`bad-value: "kafka://h:9092" is no host:port`}},
		{text: "{brokers: [''], topic: x}", want: []string{"bad-value: a broker is empty"}},
		{text: "{brokers: ['h:9092'], topic: 'o.{{ body.t }}', allow: ['o[']}", want: []string{`bad-value: the pattern "o[" is not complete`}},
		{text: "{brokers: ['h:9092'], topic: x, partition: '-1'}", want: []string{"type-mismatch: partition must be a whole number from 0, not -1 (int)"}},
		{text: "{brokers: ['h:9092'], topic: x, key: '1.5'}",
			want: []string{"type-mismatch: a key is text, bytes, an int, a bool or nil, not 1.5 (float)"}},
		{text: "{brokers: [], topic: x}", want: []string{"bad-value: brokers is empty"}},
		{text: "{brokers: ['h:9092'], topic: x, tls: {cert: c}}", want: []string{"bad-value: tls has a cert but no key"}},
		{text: "{brokers: ['localhost:9092', '127.0.0.1:1', '[::1]:1'], topic: x, sasl: {mechanism: PLAIN, username: u, password: p}}", want: []string{literalPassword}},
		{text: "{brokers: ['h:9092'], topic: x, tls: {}, sasl: {mechanism: PLAIN, username: u, password: p}}", want: []string{literalPassword}},
		{text: "{brokers: ['h:9092'], topic: x, sasl: {mechanism: PLAIN, username: u, password: p}}",
			want: []string{"bad-value: PLAIN sends the password in clear text to h:9092", literalPassword}},
	}
	for _, test := range tests {
		t.Run(test.text[:min(len(test.text), 80)], func(t *testing.T) {
			cfg := &Sink{}
			_, findings := connectortest.Build(t, test.text, cfg, func(b *config.Builder) { cfg.BuildSink(b) })
			if diff := cmp.Diff(test.want, findings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnEmptyGroupIsFound(t *testing.T) {
	cfg := &Source{}
	_, findings := connectortest.Build(t, "{brokers: ['h:9092'], topics: [x], group: ''}", cfg, func(b *config.Builder) { cfg.BuildSource(b) })
	if diff := cmp.Diff([]string{"bad-value: group is empty"}, findings); diff != "" {
		t.Error(diff)
	}
}

func TestRenderedTopicsAreChecked(t *testing.T) {
	cfg := &Sink{}
	var built config.Sink
	b, _ := connectortest.Build(t, "{brokers: ['h:9092'], topic: 'o{{ body.t }}', allow: ['o.*', o], partition: body.p}", cfg,
		func(b *config.Builder) { built = cfg.BuildSink(b) })
	p := bound{built.Preparer, b.Scope.Paths}
	tests := []struct {
		body, topic string
		code        flow.Code
	}{
		{body: `{"t":".x","p":3}`, topic: "o.x"},
		{body: `{"t":"","p":0}`, topic: "o"},
		{body: `{"t":"/x","p":0}`, code: flow.CodeInvalidName},
		{body: `{"t":"x","p":0}`, code: flow.CodeInvalidName},
		{body: `{"t":".x","p":-1}`, code: flow.CodeExpression},
		{body: `{"t":".x","p":1.5}`, code: flow.CodeExpression},
	}
	for _, test := range tests {
		t.Run(test.body, func(t *testing.T) {
			o, err := prepare(p, "kafka", flow.Record{Body: []byte(test.body)})
			if test.code != "" {
				wantError(t, err, flow.Permanent, test.code)
				return
			}
			if err != nil || o.Dest != test.topic {
				t.Errorf("topic %q, error %v", o.Dest, err)
			}
		})
	}
}

func TestAKeyIsTextBytesIntBoolOrNone(t *testing.T) {
	tests := []struct {
		v    value.Value
		want string
		none bool
		bad  bool
	}{
		{v: value.String(""), want: ""}, {v: value.String("k"), want: "k"}, {v: value.Bytes([]byte{0xff}), want: "\xff"},
		{v: value.Int(-5), want: "-5"}, {v: value.Bool(true), want: "true"}, {v: value.Value{}, none: true},
		{v: value.Float(1), bad: true}, {v: value.List(nil), bad: true},
	}
	for _, test := range tests {
		key, err := keyBytes(test.v)
		if (err != nil) != test.bad || (key == nil) != (test.none || test.bad) || string(key) != test.want {
			t.Errorf("%s: key %v, error %v", test.v.Kind(), key, err)
		}
	}
}

func TestMemberNamesAreLegalAndTellInstancesApart(t *testing.T) {
	if got := memberName("host-1", "orders", "from"); got != "host-1.orders.from" {
		t.Errorf("the name is %q", got)
	}
	a, b := memberName("h/1", "p", "s"), memberName("h:1", "p", "s")
	if a == b || checkTopic(a) != nil || checkTopic(b) != nil {
		t.Errorf("the names are %q and %q", a, b)
	}
	if long := memberName(strings.Repeat("x", 300), "p", "s"); checkTopic(long) != nil {
		t.Errorf("the name is %q", long)
	}
}

func TestElementsOfASplitHaveIDsOfTheirOwn(t *testing.T) {
	cfg := &Sink{}
	var built config.Sink
	b, _ := connectortest.Build(t, "{brokers: ['h:9092'], topic: o}", cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	m := connectortest.Message(flow.Record{ID: "m-1", Attempt: 1}, b.Scope.Paths)
	m.ExtendID(3)
	o := &flow.Outgoing{}
	o.Fill(m, nil)
	if err := built.Preparer.Prepare(m, o); err != nil {
		t.Fatal(err)
	}
	extra, ok := o.Native.(*prepared)
	if !ok || len(extra.headers) != 1 || extra.headers[0].Key != "millstream-id" || string(extra.headers[0].Value) != "m-1/3/component" {
		t.Errorf("got %+v", extra)
	}
}

func TestWhatIsLeftOfALifetimeGoesAlongWithItsEnd(t *testing.T) {
	before := time.Now()
	o, err := prepare(&preparer{constant: "x"}, "amqp", flow.Record{Props: &flow.Properties{TTL: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, h := range o.Native.(*prepared).headers {
		if got[h.Key], err = strconv.ParseInt(string(h.Value), 10, 64); err != nil {
			t.Error(err)
		}
	}
	left, ends := time.Duration(got["millstream-ttl-ms"])*time.Millisecond, time.UnixMilli(got["millstream-expires-at"])
	if len(got) != 2 || left <= 0 || left > time.Hour || ends.Before(before) || ends.After(time.Now().Add(time.Hour+time.Millisecond)) {
		t.Errorf("%s are left, until %s: %v", left, ends, got)
	}
}

func TestOnlyHeadersOfAnotherTechnologyHaveLimits(t *testing.T) {
	large := flow.Record{Headers: []flow.Header{flow.TextHeader("h", strings.Repeat("x", 9<<10))}}
	if _, err := prepare(&preparer{constant: "x"}, "kafka", large); err != nil {
		t.Error(err)
	}
	_, err := prepare(&preparer{constant: "x"}, "amqp", large)
	wantError(t, err, flow.Permanent, flow.CodeTooLarge)
}

func TestAMessageOfAnExchangeSaysWhereItWasPublishedTo(t *testing.T) {
	published := func(*flow.Record) map[string]any { return map[string]any{"exchange": "a/b", "routing_key": "k.1%"} }
	paths := document.NewPaths()
	paths.Freeze()
	m, o := &flow.Message{}, &flow.Outgoing{}
	m.Open(&flow.Env{Connector: "amqp", Paths: paths, Now: time.Now, Extra: published}, &flow.Batch{Records: []flow.Record{{}}}, 0)
	o.Fill(m, nil)
	err := (&preparer{constant: "x"}).Prepare(m, o)
	extra, ok := o.Native.(*prepared)
	if err != nil || !ok || len(extra.headers) != 1 || extra.headers[0].Key != "millstream-src-address" || string(extra.headers[0].Value) != "a%2Fb/k.1%25" {
		t.Errorf("got %+v, error %v", extra, err)
	}
}
