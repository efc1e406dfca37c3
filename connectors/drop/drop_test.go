package drop_test

import (
	"testing"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/drop"
	"github.com/millstream/millstream/pipelines/config"
)

func TestDropConfirmsEverything(t *testing.T) {
	cfg := drop.Type().NewSink()
	var built config.Sink
	if _, findings := connectortest.Build(t, "{}", cfg, func(b *config.Builder) { built = cfg.BuildSink(b) }); findings != nil {
		t.Fatal(findings)
	}
	s, err := built.Open(t.Context(), connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	outs, err := connectortest.Outgoings(built.Preparer, `{"a":1}`, "not json", "two\nlines", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := connectortest.Send(t.Context(), s, outs); err != nil {
		t.Error(err)
	}
	for i, err := range connectortest.Errors(outs) {
		if err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func TestDropHasNoOptions(t *testing.T) {
	cfg := drop.Type().NewSink()
	_, findings := connectortest.Build(t, "rate: 5/s", cfg, func(b *config.Builder) { cfg.BuildSink(b) })
	if len(findings) != 1 || findings[0] != `unknown-key: unknown key "rate"` {
		t.Errorf("got %q", findings)
	}
}
