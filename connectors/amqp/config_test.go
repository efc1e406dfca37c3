package amqp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

func TestSinkOptionsAreChecked(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{text: "{url: amqp://h/, exchange: orders, routing_key: 'a.{{ body.x }}'}"},
		{text: "{url: amqp://h/, exchange: orders, routing_key: '{{ body.x }}'}"},
		{text: "{url: amqp://h/, routing_key: queue}"},
		{text: "{url: amqp://h/, routing_key: '{{ body.x }}', allow: ['q.*']}"},
		{text: "{urls: [amqp://a/, amqps://b/], exchange: x}"},
		{text: "{url: amqp://h/, routing_key: '{{ body.x }}'}", want: []string{"open-destination: the message alone decides where it goes"}},
		{text: "{url: amqp://h/, exchange: '{{ body.x }}'}", want: []string{"open-destination: the message alone decides where it goes"}},
		{text: "{url: amqp://h/, exchange: x, routing_key: body.country}",
			want: []string{`expression-in-literal: "body.country" is a literal and reads like a path of the message`}},
		{text: "{url: '', exchange: x}", want: []string{"bad-value: url is empty"}},
		{text: "{urls: [], exchange: x}", want: []string{"bad-value: urls is empty"}},
		{text: "{url: 'amqp://guest:guest@h/', exchange: x}", want: []string{"bad-value: the URL sends the password in clear text to h"}},
		{text: "{url: 'amqps://guest:guest@h/', exchange: x}"},
		{text: "{url: 'amqp://guest:guest@127.0.0.1/', exchange: x}"},
		{text: "{url: amqp://h/, routing_key: '{{ body.x }}', allow: ['q[']}", want: []string{`bad-value: the pattern "q[" is not complete`}},
		{text: "{url: amqp://h/}", want: []string{"missing-key: neither exchange nor routing_key says where messages go"}},
		{text: "{exchange: x}", want: []string{`missing-key: "url" is missing`}},
		{text: "{url: amqp://h/, urls: [amqp://h/], exchange: x}", want: []string{"conflicting-key: url and urls are both given"}},
		{text: "{url: 'http://h/secret', exchange: x}", want: []string{"bad-value: the URL cannot be read"}},
		{text: "{url: amqp://h/, exchange: x, tls: {}}", want: []string{"bad-value: tls is given but the URL is amqp://"}},
		{text: "{url: amqps://h/, exchange: x, tls: {key: k}}", want: []string{"bad-value: tls has a key but no cert"}},
		{text: "{url: amqp://h/, exchange: x, declare: {type: topic}, properties: {type: 'a.{{ body.t }}', priority: 7, expiration: 30s}}"},
		{text: "{url: amqp://h/, exchange: x, properties: {priority: 256}}", want: []string{"bad-value: priority must be a number from 0 to 255"}},
		{text: "{url: amqp://h/, exchange: x, properties: {expiration: soon}}",
			want: []string{"bad-value: expiration must be milliseconds or a duration such as 30s"}},
		{text: "{url: amqp://h/, routing_key: q, declare: {}}", want: []string{"bad-value: only an exchange with a fixed name can be declared"}},
		{text: "{url: amqp://h/, exchange: x, heartbeat: 60s}"},
		{text: "{url: amqp://h/, exchange: x, heartbeat: 500ms}", want: []string{"bad-value: heartbeat must be whole seconds from 1s to 60s"}},
		{text: "{url: amqp://h/, exchange: x, heartbeat: 1500ms}", want: []string{"bad-value: heartbeat must be whole seconds from 1s to 60s"}},
		{text: "{url: amqp://h/, exchange: x, heartbeat: 61s}", want: []string{"bad-value: heartbeat must be whole seconds from 1s to 60s"}},
		{text: "{url: amqp://h/, exchange: x, confirm_timeout: 1ms}", want: []string{"bad-value: confirm_timeout must be 1s at least"}},
		{text: "{url: 'amqp://u:p@ss#word@h/', exchange: x}", want: []string{"bad-value: the URL cannot be read",
			"literal-secret: the password in url is written into the file, for everybody who reads it"}},
		{text: "{url: amqp://h/, exchange: x, routing_key: " + strings.Repeat("r", 256) + "}",
			want: []string{"bad-name: routing_key has 256 bytes, the most is 255"}},
	}
	for _, test := range tests {
		t.Run(test.text[:min(len(test.text), 60)], func(t *testing.T) {
			cfg := &Sink{}
			_, findings := connectortest.Build(t, test.text, cfg, func(b *config.Builder) { cfg.BuildSink(b) })
			if diff := cmp.Diff(test.want, findings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSourceOptionsAreChecked(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{text: "{url: amqp://h/, queue: q}"},
		{text: "{url: amqp://h/, queue: q, prefetch: 100, declare: {type: quorum, arguments: {x-max-length: 5, x-overflow: reject-publish}}}"},
		{text: "{url: amqp://h/}", want: []string{`missing-key: "queue" is missing`}},
		{text: "{url: amqp://h/, queue: ''}", want: []string{"bad-value: queue is empty"}},
		{text: "{url: amqp://h/, queue: q, prefetch: 70000}", want: []string{"bad-value: prefetch must be from 0 to 65535"}},
		{text: "{url: amqp://h/, queue: q, declare: {type: quorum, durable: false}}", want: []string{"bad-value: a quorum queue is always durable"}},
		{text: "{url: amqp://h/, queue: q, declare: {arguments: {a: [1, {b: c}]}, bindings: [{exchange: x, routing_key: 'a.#', arguments: {x-match: all}}]}}"},
		{text: "{url: amqp://h/, queue: q, declare: {arguments: {x-queue-type: quorum}}}",
			want: []string{"bad-value: the type of a queue is no argument here"}},
		{text: "{url: amqp://h/, queue: q, declare: {bindings: [{exchange: ''}]}}",
			want: []string{"bad-value: a queue cannot be bound to the default exchange, which knows every queue by its name"}},
		{text: "{url: amqp://h/, queue: q, on_drop: reject, max_deliveries: 5}"},
		{text: "{url: amqp://h/, queue: q, max_deliveries: 5, declare: {type: quorum}}"},
		{text: "{url: amqp://h/, queue: q, max_deliveries: 1, declare: {type: classic}}"},
		{text: "{url: amqp://h/, queue: q, max_deliveries: 5, declare: {}}",
			want: []string{"bad-value: a classic queue does not count its deliveries, so that this limit is never reached"}},
		{text: "{url: amqp://h/, queue: q, max_deliveries: -1}", want: []string{"bad-value: max_deliveries must be 0 or more"}},
		{text: "{url: amqps://h/, queue: q, auth: external, tls: {cert: c, key: k}}"},
		{text: "{url: amqp://h/, queue: q, auth: external}", want: []string{
			"bad-value: auth: external needs TLS, because the broker takes the user from the client's certificate",
			"bad-value: auth: external needs a certificate to log in with"}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			cfg := &Source{}
			_, findings := connectortest.Build(t, test.text, cfg, func(b *config.Builder) { cfg.BuildSource(b) })
			for i, f := range findings {
				findings[i] = strings.TrimSuffix(f, " in test.yaml")
			}
			if diff := cmp.Diff(test.want, findings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatABrokerWouldCloseTheConnectionForIsRefusedBefore(t *testing.T) {
	cfg := &Sink{}
	var built config.Sink
	connectortest.Build(t, "{url: amqp://h/, exchange: x, routing_key: 'k'}", cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	long := strings.Repeat("x", 256)
	tests := []struct {
		name   string
		record flow.Record
		code   flow.Code
	}{
		{"a long header name", flow.Record{Headers: []flow.Header{flow.TextHeader(long, "v")}}, flow.CodeInvalidName},
		{"headers larger than a frame", flow.Record{Headers: []flow.Header{flow.TextHeader("h", strings.Repeat("x", 131072))}}, flow.CodeTooLarge},
		{"a long message id", flow.Record{Props: &flow.Properties{MessageID: long}}, flow.CodeTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := prepare(built.Preparer, test.record)
			wantError(t, err, flow.Permanent, test.code)
		})
	}
}
