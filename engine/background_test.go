package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
)

func TestBackgroundTasksLiveAsLongAsTheirPipeline(t *testing.T) {
	r := newRig(t, 1)
	var ended atomic.Bool
	started := make(chan struct{})
	r.program.Background = []func(context.Context, *slog.Logger){
		func(ctx context.Context, _ *slog.Logger) {
			close(started)
			<-ctx.Done()
			ended.Store(true)
		},
		func(context.Context, *slog.Logger) { panic("a task that breaks touches nothing else") },
	}
	r.start()
	<-started
	if ended.Load() {
		t.Error("the task ended before its pipeline")
	}
	r.feed("a:1")
	r.in.End(nil)
	<-r.p.Done()
	if !ended.Load() {
		t.Error("the task goes on after its pipeline")
	}
	r.got(0, "a:1")
	r.even()
}

func TestBackgroundTasksDoNotStartWithAPipelineThatFailsTo(t *testing.T) {
	r := newRig(t, 1)
	var ran atomic.Bool
	r.program.Background = []func(context.Context, *slog.Logger){func(context.Context, *slog.Logger) { ran.Store(true) }}
	broken := errors.New("no connection")
	r.program.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { return nil, broken }
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := r.engine.Start(ctx, r.program); !errors.Is(err, broken) {
		t.Fatalf("start: %v", err)
	}
	if ran.Load() {
		t.Error("the task ran")
	}
}
