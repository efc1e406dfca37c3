package fleet

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/flow"
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
// again, changed or not; one that came to its end is started again only when it changed. When ctx is done, what has not been started is
// not, and drains end at once. The first call starts what is to run.
func (f *Fleet) Apply(ctx context.Context, wanted []*pipelines.Program) Receipt {
	f.applying.Lock()
	defer f.applying.Unlock()
	r := Receipt{Began: time.Now()}
	next := map[string]*pipelines.Program{}
	for _, p := range wanted {
		next[p.Name] = p
	}
	old := map[string]*engine.Pipeline{}
	for _, p := range f.engine.Pipelines() {
		old[p.Name()] = p
	}
	plan := pipelines.Plan(f.Running(), wanted)
	r.Steps = make([]Step, len(plan))
	var steps sync.WaitGroup
	for i, planned := range plan {
		s := &r.Steps[i]
		s.Pipeline, s.Action, s.Reasons = planned.Pipeline, planned.Action, planned.Reasons
		steps.Go(func() { f.step(ctx, s, old[s.Pipeline], next[s.Pipeline]) })
	}
	steps.Wait()
	r.Duration = time.Since(r.Began)
	return r
}

// step does what is planned for one pipeline.
func (f *Fleet) step(ctx context.Context, s *Step, old *engine.Pipeline, next *pipelines.Program) {
	began := time.Now()
	defer func() { s.Duration = time.Since(began) }()
	switch s.Action {
	case pipelines.Keep:
		s.Outcome, s.Revision = Kept, old.Revision()
	case pipelines.Stop:
		f.stop(ctx, s, old)
	default:
		if old != nil {
			f.stop(ctx, s, old)
		}
		f.start(ctx, s, next)
	}
}

func (f *Fleet) stop(ctx context.Context, s *Step, old *engine.Pipeline) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.DrainTimeout)
	defer cancel()
	s.done(old.Stop(ctx), old.Program())
}

// start starts a pipeline. What passes, such as a broker that is down, is tried again until the time for starting is over.
func (f *Fleet) start(ctx context.Context, s *Step, next *pipelines.Program) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.StartTimeout)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		p, err := f.engine.Start(ctx, next)
		var e *flow.Error
		if err == nil {
			s.Revision = p.Revision()
		}
		if err == nil || !errors.As(err, &e) || e.Class != flow.Transient || ctx.Err() != nil {
			s.done(err, next)
			return
		}
		if pause == firstPause {
			f.opts.Logger.Warn("pipeline cannot start yet; it is tried again", "pipeline", next.Name, "error", next.Mask(err.Error()))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			s.done(err, next)
			return
		}
	}
}

// How long a start that failed waits before it is tried again.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 2 * time.Second
)

// done notes the end of a step.
func (s *Step) done(err error, prog *pipelines.Program) {
	s.Outcome, s.err = Done, err
	if err != nil {
		s.Outcome, s.Error = Failed, prog.Mask(err.Error())
	}
}
