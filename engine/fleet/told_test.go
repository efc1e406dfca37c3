package fleet_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

func TestTheLogIsToldEachReasonOnceWhileAStartIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		r := newRig(t)
		f := fleet.New(engine.New(engine.Options{Logger: log}), fleet.Options{Logger: log, StartTimeout: 35 * time.Second})
		began := time.Now()
		receipt := f.Apply(context.Background(), []*pipelines.Program{r.program("p", "1", func(p *pipelines.Program) {
			p.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) {
				reason := "refused"
				if time.Since(began) > 10*time.Second {
					reason = "no route"
				}
				return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "%s", reason)
			}
		})})
		if receipt.OK() {
			t.Error("it started")
		}
		for reason, want := range map[string]int{"refused": 1, "no route": 1, "level=INFO": 0, "{In:": 0} {
			if n := strings.Count(text.String(), reason); n != want {
				t.Errorf("%q is told %d times, want %d:\n%s", reason, n, want, text.String())
			}
		}
	})
}
