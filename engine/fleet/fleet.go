package fleet

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/failpoint"
	"github.com/millstream/millstream/pipelines"
)

// Options of a fleet; the zero value is usable.
type Options struct {
	// DrainTimeout is how long what is in flight may take to end when a pipeline is stopped or exchanged; then it stays at its source. 10 s
	// when 0.
	DrainTimeout time.Duration
	// StartTimeout bounds how long a pipeline may take to start, and what is new in one to open. 30 s when 0.
	StartTimeout time.Duration
	// Logger for starts that are tried again; slog.Default() when nil. The receipt is the caller's to log.
	Logger *slog.Logger
}

// Fleet is the pipelines of one process. Its methods may be called concurrently.
type Fleet struct {
	engine *engine.Engine
	opts   Options

	applying sync.Mutex
	patience patience
}

// New makes a fleet of what e runs; nothing else starts pipelines there from then on.
func New(e *engine.Engine, opts Options) *Fleet {
	if opts.DrainTimeout <= 0 {
		opts.DrainTimeout = 10 * time.Second
	}
	if opts.StartTimeout <= 0 {
		opts.StartTimeout = 30 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Fleet{engine: e, opts: opts}
}

// Pipelines are all that were started and not stopped by an Apply, by name, also those that have ended since.
func (f *Fleet) Pipelines() []*engine.Pipeline { return f.engine.Pipelines() }

// Running are the programs of Pipelines: what the next Apply compares with.
func (f *Fleet) Running() []*pipelines.Program {
	ps := f.engine.Pipelines()
	programs := make([]*pipelines.Program, len(ps))
	for i, p := range ps {
		programs[i] = p.Program()
	}
	return programs
}

// Apply makes the fleet run the wanted programs, which have different names, and no others. Calls are served one after another. Pipelines
// are worked on side by side: one that fails touches no other, and what it ran before runs on. A pipeline that has failed is started
// again, changed or not; one that is paused tries again what it waits for; one that came to its end is started again only when it
// changed. Where one pipeline takes over what another lets go of (a port, a file, a queue), it waits for it. When ctx is done, what has not
// been started is not, and drains end at once. The first call starts what is to run.
func (f *Fleet) Apply(ctx context.Context, wanted []*pipelines.Program) Receipt {
	f.applying.Lock()
	defer f.applying.Unlock()
	defer f.patience.begin()()
	r := Receipt{Began: time.Now()}
	old := map[string]*engine.Pipeline{}
	for _, p := range f.engine.Pipelines() {
		old[p.Name()] = p
	}
	next := map[string]*pipelines.Program{}
	for _, p := range wanted {
		next[p.Name] = p
	}
	plan := pipelines.Plan(f.Running(), wanted)
	r.Steps = make([]Step, len(plan))
	tasks := make([]task, len(plan))
	for i, planned := range plan {
		s := &r.Steps[i]
		s.Pipeline, s.Action, s.Reasons = planned.Pipeline, planned.Action, planned.Reasons
		tasks[i] = newTask(s, old[s.Pipeline], next[s.Pipeline])
	}
	failpoint.Hit(failpoint.ReloadPlan)
	inTurn(tasks)
	var steps sync.WaitGroup
	for i := range tasks {
		steps.Go(func() { f.do(ctx, &tasks[i]) })
	}
	steps.Wait()
	r.Duration = time.Since(r.Began)
	return r
}

// do does what is planned for one pipeline, once those before it have done theirs.
func (f *Fleet) do(ctx context.Context, t *task) {
	defer close(t.done)
	for _, first := range t.after {
		<-first.done
	}
	began := time.Now()
	defer func() { t.step.Duration = time.Since(began) }()
	switch t.step.Action {
	case pipelines.Keep:
		f.keep(ctx, t)
	case pipelines.Stop:
		f.stop(ctx, t)
	case pipelines.Start:
		f.start(ctx, t)
	default:
		f.change(ctx, t)
	}
}

// keep leaves a pipeline alone, unless it needs a push.
func (f *Fleet) keep(ctx context.Context, t *task) {
	s := t.step
	switch t.old.State() {
	case engine.Failed:
		f.startAgain(ctx, t)
		return
	case engine.Paused:
		s.Reasons = []string{"it was paused: it tries again"}
		t.old.Resume()
	default:
	}
	s.Outcome, s.Revision = Kept, t.old.Revision()
}

// stop ends a pipeline. It is gone also when something was in flight at the deadline, which stays at its source.
func (f *Fleet) stop(ctx context.Context, t *task) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.DrainTimeout)
	defer cancel()
	s := t.step
	before := t.old.Balance()
	err := t.old.Stop(ctx)
	s.Drained = max(0, before.InFlight-(t.old.Balance().Returned-before.Returned))
	f.engine.Forget(t.old)
	s.done(err, t.old.Program())
	if errors.Is(err, engine.ErrDeadline) && !slices.Contains(f.engine.Pipelines(), t.old) {
		s.Outcome = Done
	}
}

// change lets a pipeline run another program.
func (f *Fleet) change(ctx context.Context, t *task) {
	s := t.step
	select {
	case <-t.old.Done():
		f.startAgain(ctx, t)
		return
	default:
	}
	if t.old.State() == engine.Paused && s.Action == pipelines.Swap {
		s.Action, s.Reasons = pipelines.Replace, append(s.Reasons, "it was paused: what waits is read again")
	}
	did, err := t.old.Reload(ctx, t.next, engine.ReloadOptions{OpenTimeout: f.opts.StartTimeout, DrainTimeout: f.opts.DrainTimeout, GiveUp: f.patience.lost()})
	if errors.Is(err, engine.ErrEnded) {
		stop, cancel := context.WithTimeout(ctx, f.opts.DrainTimeout)
		defer cancel()
		_ = t.old.Stop(stop) // what it ended with is its own matter; what was in flight is read again
		f.startAgain(ctx, t)
		return
	}
	s.KeptSources, s.KeptSinks, s.Drained, s.Pause, s.Waited = did.KeptSources, did.KeptSinks, did.Drained, did.Pause, did.Waited
	if errors.Is(err, context.Canceled) {
		err = f.patience.explain(err, nil)
	}
	s.done(err, t.next)
	switch {
	case err != nil && did.RolledBack:
		s.Outcome = RolledBack
	case err == nil && did.Trouble != nil:
		s.Error = t.next.Mask(t.before.Mask(did.Trouble.Error()))
	}
	if t.old.State() != engine.Failed {
		s.Revision = t.old.Revision()
	}
}

// startAgain starts what has ended.
func (f *Fleet) startAgain(ctx context.Context, t *task) {
	s := t.step
	s.Action = pipelines.Start
	if t.old.State() == engine.Failed {
		s.Reasons = append(s.Reasons, "it had failed")
	} else {
		s.Reasons = append(s.Reasons, "it had ended")
	}
	f.start(ctx, t)
}

// start starts a pipeline. What passes, such as a broker that is down, is tried again until the time for starting is over.
func (f *Fleet) start(ctx context.Context, t *task) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.StartTimeout)
	defer cancel()
	patient, done := f.patience.limit(ctx)
	defer done()
	s := t.step
	var last error
	told := reasons{}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		p, err := f.engine.Start(patient, t.next)
		var e *flow.Error
		if err == nil {
			s.Revision = p.Revision()
		}
		if err != nil && patient.Err() != nil {
			err = f.patience.explain(err, last)
		}
		if err == nil || !errors.As(err, &e) || e.Class != flow.Transient || patient.Err() != nil {
			s.done(err, t.next)
			return
		}
		last = err
		if reason := t.next.Mask(err.Error()); told.anew(reason, time.Now()) {
			f.opts.Logger.Warn("pipeline cannot start yet; it is tried again", "pipeline", t.next.Name, "error", reason)
		}
		select {
		case <-time.After(pause):
		case <-patient.Done():
			s.done(f.patience.explain(err, err), t.next)
			return
		}
	}
}

// reasons are why a start failed, with when the log was told of each.
type reasons map[string]time.Time

// repeatReason is how often the log is told the same reason.
const repeatReason = 30 * time.Second

// anew tells whether the log is to be told: of each new reason once, and then again from time to time.
func (r reasons) anew(reason string, now time.Time) bool {
	if was, had := r[reason]; had && now.Sub(was) < repeatReason {
		return false
	}
	r[reason] = now
	return true
}

// How long a start that failed waits before it is tried again.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 2 * time.Second
)

// done notes the end of a step.
func (s *Step) done(err error, prog *pipelines.Program) {
	s.Outcome, s.err = Done, err
	if err != nil {
		s.Outcome, s.Error = Failed, prog.Mask(err.Error())
	}
}
