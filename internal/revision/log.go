package revision

import (
	"context"
	"log/slog"
	"time"

	"github.com/millstream/millstream/pipelines"
)

// log writes an attempt's line, and one for each pipeline that is not as its file says.
func (k *Keeper) log(ctx context.Context, a *Attempt) {
	log := k.opts.Logger.With("revision", a.Revision)
	failed := "pipeline not reloaded; what ran before goes on where it can"
	if a.Trigger == ByStart {
		failed = "pipeline failed to start"
	}
	for _, s := range a.Failed() {
		if a.interrupted {
			log.Info("pipeline not started", "pipeline", s.Pipeline)
			continue
		}
		log.Error(failed, "pipeline", s.Pipeline, "action", s.Action, "outcome", s.Outcome, "error", s.Error)
	}
	for _, o := range a.Older {
		message := "pipeline runs as before, since its file has errors"
		if o.Kept {
			message = "pipeline runs its last good revision, since its file has errors"
		}
		log.Error(message, "pipeline", o.Pipeline, "path", o.Path)
	}
	if a.Trigger == ByStart && (len(a.Older) == 0 || a.interrupted) {
		return // each pipeline has said that it started, or why not; findings have been printed
	}
	level, message := slog.LevelInfo, "reload "+told[a.Outcome]
	if a.Trigger == ByStart {
		message = "start " + told[a.Outcome]
	}
	args := []any{"attempt", a.Number, "trigger", a.Trigger, "hash", a.Hash}
	if a.Error != "" {
		args = append(args, "error", a.Error)
	}
	for _, action := range []pipelines.Action{pipelines.Keep, pipelines.Swap, pipelines.Replace, pipelines.Start, pipelines.Stop} {
		if n := a.count(action); n > 0 {
			args = append(args, done[action], n)
		}
	}
	if n := len(a.Failed()); n > 0 {
		args = append(args, "failed", n)
	}
	if n := len(a.Broken); n > 0 {
		args = append(args, "broken", n)
	}
	if !a.OK() {
		level = slog.LevelError
	}
	args = append(args, "drained", a.Drained, "pause", a.Pause.Round(time.Microsecond), "duration", a.Duration.Round(time.Microsecond))
	log.Log(ctx, level, message, args...)
}

// told says each outcome.
var told = map[Outcome]string{Applied: "applied", Unchanged: "changed nothing", Partly: "partly applied", Refused: "refused"}

// done names what has been done of each action.
var done = map[pipelines.Action]string{
	pipelines.Keep: "kept", pipelines.Swap: "swapped", pipelines.Replace: "replaced", pipelines.Start: "started", pipelines.Stop: "stopped",
}
