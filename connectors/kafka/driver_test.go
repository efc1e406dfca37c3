package kafka

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/pipelines/config"
)

func TestOptionsThatTheStockDriverCannotObeyAreFound(t *testing.T) {
	const (
		source = "{brokers: ['h:9092'], topics: [x], group: g, driver: watermill"
		sink   = "{brokers: ['h:9092'], topic: x, driver: watermill"
		scram  = ", tls: {}, sasl: {mechanism: SCRAM-SHA-512, username: u, password: p}}"
	)
	tests := []struct {
		name, source, sink string
		want               []string
	}{
		{name: "a source", source: source + ", balance: eager, on_stop: stay, isolation: read_uncommitted, start: latest, session_timeout: 10s}"},
		{name: "a sink", sink: sink + ", key: body.id, partition: '1', compression: lz4}"},
		{name: "a pattern", source: "{brokers: ['h:9092'], topics: [/x.+/], group: g, driver: watermill}",
			want: []string{"bad-value: driver: watermill reads topics by their names, not by patterns"}},
		{name: "sharing bit by bit", source: source + ", balance: cooperative}",
			want: []string{"bad-value: driver: watermill shares partitions in the eager way only"}},
		{name: "SCRAM at a source", source: source + scram, want: []string{"bad-value: driver: watermill logs in with PLAIN only", literalPassword}},
		{name: "SCRAM at a sink", sink: sink + scram, want: []string{"bad-value: driver: watermill logs in with PLAIN only", literalPassword}},
		{name: "topics that are made", sink: sink + ", create: {}}", want: []string{"bad-value: driver: watermill makes no topics"}},
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

func TestTheStockDriverCannotDeliverExactlyOnce(t *testing.T) {
	_, got := compileText(`name: x
delivery: exactly_once
connections: { k: { kafka: { brokers: ["a:1"] } } }
from: { kafka: { use: k, topics: [in], group: g, driver: watermill } }
to: { kafka: { use: k, topic: out, driver: watermill } }
`)
	want := []string{"4: bad-value: driver: watermill cannot deliver exactly once", "5: bad-value: driver: watermill cannot deliver exactly once"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
