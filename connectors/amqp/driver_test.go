package amqp

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/pipelines/config"
)

func TestOptionsThatTheStockDriverCannotObeyAreFound(t *testing.T) {
	const external = "auth: external, tls: {cert: c, key: k}"
	tests := []struct {
		name, source, sink string
		want               []string
	}{
		{name: "a source", source: "{url: amqp://h/, queue: q, driver: watermill, prefetch: 10, declare: {type: quorum}, max_deliveries: 3}"},
		{name: "a sink", sink: "{url: amqp://h/, exchange: x, driver: watermill, mandatory: false, declare: {type: topic}}"},
		{name: "messages without a queue", sink: "{url: amqp://h/, exchange: x, driver: watermill}",
			want: []string{"bad-value: driver: watermill cannot tell when no queue takes a message, which is then lost"}},
		{name: "two nodes at a source", source: "{urls: [amqp://a/, amqp://b/], queue: q, driver: watermill}",
			want: []string{"bad-value: driver: watermill connects to one url"}},
		{name: "two nodes at a sink", sink: "{urls: [amqp://a/, amqp://b/], exchange: x, driver: watermill, mandatory: false}",
			want: []string{"bad-value: driver: watermill connects to one url"}},
		{name: "a certificate as the user", source: "{url: amqps://h/, queue: q, driver: watermill, " + external + "}",
			want: []string{"bad-value: driver: watermill logs in with the user and password of the URL"}},
		{name: "rejecting what is dropped", source: "{url: amqp://h/, queue: q, driver: watermill, on_drop: reject}",
			want: []string{"bad-value: driver: watermill acknowledges what is dropped"}},
		{name: "patience with confirmations", sink: "{url: amqp://h/, exchange: x, driver: watermill, mandatory: false, confirm_timeout: 5s}",
			want: []string{"bad-value: driver: watermill waits for a confirmation as long as the connection lasts"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var findings []string
			if test.source != "" {
				cfg := &Source{}
				_, findings = connectortest.Build(t, test.source, cfg, func(b *config.Builder) { cfg.BuildSource(b) })
			} else {
				cfg := &Sink{}
				_, findings = connectortest.Build(t, test.sink, cfg, func(b *config.Builder) { cfg.BuildSink(b) })
			}
			if diff := cmp.Diff(test.want, findings); diff != "" {
				t.Error(diff)
			}
		})
	}
}
