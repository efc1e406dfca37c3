package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/internal/admin"
	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/internal/watch"
	"github.com/millstream/millstream/pipelines"
)

// supervisor takes pipelines from their start to their end, through reloads, and obeys signals on the way.
type supervisor struct {
	engine   *engine.Engine
	fleet    *fleet.Fleet
	keeper   *revision.Keeper
	watcher  *watch.Watcher // nil: changes are not looked for
	paths    []string       // as they were given
	load     func(paths []string) *revision.Set
	watching bool
	signals  <-chan os.Signal
	hangups  <-chan os.Signal
	requests chan request
	ended    chan struct{} // closed when no request is taken any more
	drain    time.Duration
	log      *slog.Logger
	about    admin.Status // what does not change of it

	draining atomic.Bool
	// cutShort: the first signal came while an attempt was under way, which waited for nothing then.
	cutShort bool
	// gaveUp: something was still starting and is not waited for.
	gaveUp bool
	// invalid is why nothing could be loaded at the start; nil when findings say it.
	invalid error
}

// request asks for an attempt; answer gets the receipt, once.
type request struct{ answer chan revision.Attempt }

func (v *supervisor) took(read map[string]watch.Sum) {
	if v.watcher != nil {
		v.watcher.Took(read)
	}
}

// running lists the programs that run, and run well.
func (v *supervisor) running() map[*pipelines.Program]bool {
	programs := map[*pipelines.Program]bool{}
	for _, p := range v.fleet.Pipelines() {
		if p.State() == engine.Running {
			programs[p.Program()] = true
		}
	}
	return programs
}

func (v *supervisor) changes() <-chan struct{} {
	if v.watcher == nil {
		return nil
	}
	return v.watcher.Changes()
}

// attempt is one that is under way.
type attempt struct {
	done    chan revision.Attempt
	cancel  context.CancelFunc
	answers []request
	first   bool
}

func (v *supervisor) begin(trigger string, answers []request, first bool) *attempt {
	ctx, cancel := context.WithCancel(context.Background())
	u := &attempt{done: make(chan revision.Attempt, 1), cancel: cancel, answers: answers, first: first}
	go func() { u.done <- v.keeper.Attempt(ctx, trigger) }()
	return u
}

func (u *attempt) answer(a revision.Attempt) {
	u.cancel()
	for _, r := range u.answers {
		r.answer <- a
	}
}

// hurryAfter is how long a reload may go on waiting for brokers when another one is wanted.
const hurryAfter = time.Second

// run starts everything, reloads when it is told to, and returns the exit code when all has ended. What asks for a reload while one is
// under way gets the next; what is under way then no longer waits for what cannot connect.
func (v *supervisor) run() int {
	defer close(v.ended)
	var (
		wanted  string
		waiting []request
		over    <-chan struct{}
		hurry   <-chan time.Time
		stop    = func() {}
		under   = v.begin(revision.ByStart, nil, true)
	)
	defer func() { stop() }()
	for {
		if under == nil && wanted != "" {
			under, wanted, waiting, hurry = v.begin(wanted, waiting, false), "", nil, nil
		}
		if under != nil && wanted != "" && hurry == nil {
			hurry = time.After(hurryAfter)
		}
		var done <-chan revision.Attempt
		finished := over
		if under != nil {
			done, finished = under.done, nil
		}
		select {
		case sig := <-v.signals:
			return v.stop(sig, under)
		case <-v.hangups:
			wanted = revision.BySignal
		case <-v.changes():
			wanted = revision.ByWatch
		case r := <-v.requests:
			wanted, waiting = revision.ByCommand, append(waiting, r)
		case <-hurry:
			v.fleet.Hurry()
		case a := <-done:
			under.answer(a)
			under = nil
			if code, end := v.after(&a); end && wanted == "" {
				return code
			}
			stop()
			over, stop = v.allEnded()
		case <-finished:
			return v.code()
		}
	}
}

// after tells whether the process ends since nothing runs after an attempt. With no files, or none but broken ones, it waits for better
// ones when it watches; at the start broken files are no reason to wait.
func (v *supervisor) after(a *revision.Attempt) (code int, end bool) {
	start := a.Trigger == revision.ByStart
	if start && a.Outcome == revision.Refused && len(a.Steps) == 0 {
		v.invalid = a.Err()
		return exitInvalid, true
	}
	switch {
	case len(v.fleet.Pipelines()) > 0:
		return exitFine, false
	case len(a.Failed()) > 0:
		return v.code(), true
	case start && len(a.Broken) > 0:
		return exitInvalid, true
	case !v.watching:
		return v.code(), true
	}
	v.log.Info("no pipeline to run; waiting for one", "paths", v.about.Paths)
	return exitFine, false
}

// allEnded gives what is closed when all pipelines have ended: never, when there are none. stop ends the waiting for it.
func (v *supervisor) allEnded() (over <-chan struct{}, stop func()) {
	running := v.fleet.Pipelines()
	if len(running) == 0 {
		return nil, func() {}
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		for _, p := range running {
			select {
			case <-p.Done():
			case <-stopped:
				return
			}
		}
		close(ended)
	}()
	return ended, func() { close(stopped) }
}

// code is the exit code of what has ended: of a pipeline that failed, of one that could not start, of a file with errors.
func (v *supervisor) code() int {
	if code := worst(v.fleet.Pipelines()); code != exitFine {
		return code
	}
	last, have := v.keeper.Last()
	if !have {
		return exitFine
	}
	code := exitFine
	if !v.cutShort && !last.Interrupted() {
		for _, s := range last.Failed() {
			code = max(code, startCode(s.Err()))
		}
	}
	if code == exitFine && len(last.Broken) > 0 {
		code = exitInvalid
	}
	return code
}

// stop drains everything after the first signal. A start that is under way ends at once, a reload waits for no broker and gets half of the
// time.
func (v *supervisor) stop(sig os.Signal, under *attempt) int {
	v.draining.Store(true)
	v.log.Info("draining; a second signal stops at once", "signal", sig.String(), "timeout", v.drain)
	ctx, cancel := context.WithTimeout(context.Background(), v.drain)
	defer cancel()
	if under != nil {
		if code, end := v.finish(ctx, under); end {
			return code
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- v.engine.Stop(ctx) }()
	select {
	case err := <-stopped:
		if errors.Is(err, engine.ErrDeadline) {
			v.log.Error("the drain timeout passed; what was in flight stays at its source", "error", err)
			return exitDeadline
		}
		return v.code()
	case <-v.signals:
		v.log.Error("stopped at once by a second signal; what was in flight stays at its source")
		return exitInterrupted
	}
}

// finish ends an attempt that is under way.
func (v *supervisor) finish(ctx context.Context, under *attempt) (code int, end bool) {
	v.cutShort = true
	patience := time.After(v.drain / 2)
	if under.first {
		under.cancel()
	} else {
		v.fleet.Hurry()
	}
	for {
		select {
		case a := <-under.done:
			under.answer(a)
			return exitFine, false
		case <-patience:
			under.cancel()
		case <-ctx.Done():
			v.log.Error("the drain timeout passed while pipelines were starting")
			v.gaveUp = true
			return exitDeadline, true
		case <-v.signals:
			v.gaveUp = true
			return exitInterrupted, true
		}
	}
}
