package engine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/failpoint"
	"github.com/millstream/millstream/pipelines"
)

// State says where a pipeline is in its life.
type State string

// The states.
const (
	Starting State = "starting"
	Running  State = "running"
	Paused   State = "paused"
	Draining State = "draining"
	Stopped  State = "stopped"
	Failed   State = "failed"
	// Degraded is what a status calls a pipeline that is running with Troubles; State itself never says it.
	Degraded State = "degraded"
)

// pipeline is one running pipeline: the unit of life. Nothing in it is shared with other pipelines but counted resources. What it runs, its
// graph, may change while it lives.
type pipeline struct {
	name   string
	engine *Engine
	log    *slog.Logger
	graph  atomic.Pointer[graph]
	// mask hides the secrets of the programs that run.
	mask atomic.Pointer[func(string) string]

	count   *counters
	budget  *budget
	runs    sync.Pool
	holdIDs atomic.Uint64
	made    atomic.Int64 // bytes that the records of batches under way have become
	// mostMade is beyond how many nobody computes ahead.
	mostMade atomic.Int64

	// reading ends when no more is to be read; draining when the pipeline has begun to drain; hard when what is in flight is given up.
	// Those of each source end with them.
	reading, draining, hard           context.Context
	stopReading, beginDrain, hardStop context.CancelFunc
	boundOnce                         sync.Once

	retriers  sync.WaitGroup
	leftovers sync.WaitGroup // what revisions that do not run any more have left
	reloading sync.Mutex     // held by the one who changes what runs
	dry       chan struct{}  // closed when nothing reads any more, and nothing will
	ended     chan struct{}

	mu       sync.Mutex
	sources  []*sourceRun
	readers  int // sources that read, and reloads under way
	state    State
	failure  error
	resumed  chan struct{} // closed by Resume; nil while not paused
	pausedBy *Pause        // nil while not paused
	ran      bool          // it has got as far as running
	overtime bool          // the drain deadline passed
	over     bool          // ended is closed
	stuck    bool          // it was given up, and something of it still runs
}

func newPipeline(e *Engine, prog *pipelines.Program) *pipeline {
	p := &pipeline{
		name: prog.Name, engine: e, count: newCounters(), budget: newBudget(prog.Limits), dry: make(chan struct{}), ended: make(chan struct{}),
		state: Starting,
	}
	p.setMask(prog.Mask)
	p.log = masked(e.opts.Logger, func(text string) string { return (*p.mask.Load())(text) }).With("pipeline", prog.Name)
	p.setLimits(prog.Limits)
	p.budget.lax = p.breaks(faultNoBudget)
	p.runs.New = func() any { return &run{} }
	p.reading, p.stopReading = context.WithCancel(context.Background())
	p.draining, p.beginDrain = context.WithCancel(context.Background())
	p.hard, p.hardStop = context.WithCancel(context.Background())
	sinks := make([]*sinkRun, len(prog.Sinks))
	for i := range sinks {
		sinks[i] = newSinkRun(p, &prog.Sinks[i], i)
	}
	p.graph.Store(newGraph(p, prog, sinks))
	return p
}

func (p *pipeline) setMask(mask func(string) string) { p.mask.Store(&mask) }

// setLimits takes over the limits of a program.
func (p *pipeline) setLimits(l flow.Limits) {
	p.budget.resize(l)
	p.mostMade.Store(l.InFlightBytes)
	if p.engine.mostMade > 0 {
		p.mostMade.Store(p.engine.mostMade)
	}
}

// open connects the sinks, then the sources. On failure everything opened is closed again. Nobody waits for optional sinks: they come last,
// and have a moment to open before the first message.
func (p *pipeline) open(ctx context.Context) (err error) {
	// A stop ends the opening.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.reading, cancel)() //nolint:contextcheck // the pipeline's life is not the caller's
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(context.WithoutCancel(ctx)))
		}
	}()
	g := p.graph.Load()
	if err := p.openSinks(ctx, g, false); err != nil {
		return err
	}
	for i := range g.prog.Sources {
		s, err := p.openSource(ctx, g.prog, i)
		if err != nil {
			return err
		}
		p.addSource(s)
	}
	if err := p.openSinks(ctx, g, true); err != nil {
		return err
	}
	awaitFirst(ctx, g.sinks)
	return nil
}

// openSinks opens those sinks of a graph that are optional, or those that are not.
func (p *pipeline) openSinks(ctx context.Context, g *graph, optional bool) error {
	for i, s := range g.sinks {
		if spec := &g.prog.Sinks[i]; spec.Optional == optional {
			if err := s.open(ctx, g.prog, spec, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// close ends what is open: sources, then sinks.
func (p *pipeline) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var errs []error
	for _, s := range p.sourceList() {
		errs = append(errs, s.close(ctx))
	}
	for _, s := range p.graph.Load().sinks {
		errs = append(errs, s.close(ctx))
	}
	return errors.Join(errs...)
}

// live runs until the pipeline has ended: by exhausted sources, a stop or a failure.
func (p *pipeline) live() {
	<-p.dry
	p.setState(Draining)
	p.beginDrain()
	failpoint.Hit(failpoint.InDrain)
	sources := p.sourceList()
	for _, s := range sources {
		<-s.idle()
	}
	p.retriers.Wait()
	for _, s := range sources {
		s.endRouter()
	}
	p.graph.Load().endBackground()
	p.leftovers.Wait()
	late := time.AfterFunc(closeTimeout, p.giveUp)
	err := p.close(context.Background())
	late.Stop()
	if err != nil {
		p.log.Error("close failed", "error", err)
	}
	p.end(err)
}

// read counts who reads, or is about to make somebody read. It reports false when nothing does any more: the pipeline is at its end.
func (p *pipeline) read(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.dry:
		return false
	default:
	}
	p.readers += n
	if p.readers == 0 {
		close(p.dry)
	}
	return true
}

// sourceList are the sources that run.
func (p *pipeline) sourceList() []*sourceRun {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sources)
}

func (p *pipeline) addSource(s *sourceRun) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources = append(p.sources, s)
}

func (p *pipeline) removeSource(s *sourceRun) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources = slices.DeleteFunc(p.sources, func(o *sourceRun) bool { return o == s })
}

// end is the last thing that happens to a pipeline; err counts as its failure when it has no earlier one.
func (p *pipeline) end(err error) { p.endAs(err, false) }

func (p *pipeline) endAs(err error, stuck bool) {
	p.stopReading()
	p.hardStop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		p.stuck = p.stuck && stuck
		return
	}
	p.over, p.stuck = true, stuck
	if p.failure == nil {
		p.failure = err
	}
	p.state = Stopped
	if p.failure != nil {
		p.state = Failed
	}
	p.tellEnd()
	close(p.ended)
}

// closeTimeout bounds how long sources and sinks may take to close once nothing is in flight.
const closeTimeout = 10 * time.Second

// drain stops reading and waits for the end. When ctx is done first, what is in flight is given up and stays at its source.
func (p *pipeline) drain(ctx context.Context) {
	p.setState(Draining)
	p.stopReading()
	p.beginDrain()
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.mu.Lock()
		p.overtime = p.overtime || p.count.inFlight.Load() > 0
		p.mu.Unlock()
		p.giveUp()
	}
}

// stopGrace is how long a pipeline may take to end once what is in flight has been given up.
const stopGrace = 5 * time.Second

// giveUp ends the pipeline without what is in flight. A component that does not end at all is left behind: it must not keep the process
// from ending, and its records are not settled.
func (p *pipeline) giveUp() {
	p.hardStop()
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-p.ended:
		return
	case <-t.C:
	}
	p.log.Error("something of the pipeline does not end; it is left behind", "waited", stopGrace, "in_flight", p.count.inFlight.Load())
	p.mu.Lock()
	p.overtime = p.overtime || !p.over
	p.mu.Unlock()
	p.endAs(ErrDeadline, true)
}

// boundDrain gives the drain of a pipeline that failed a deadline: nobody else does.
func (p *pipeline) boundDrain() {
	p.boundOnce.Do(func() {
		go func() {
			t := time.NewTimer(p.engine.opts.DrainTimeout)
			defer t.Stop()
			select {
			case <-p.ended:
			case <-t.C:
				p.log.Error("the drain timeout passed; what is in flight stays at its source", "in_flight", p.count.inFlight.Load())
				p.giveUp()
			}
		}()
	})
}

// stopFailed makes the pipeline drain, within the engine's DrainTimeout, and count as failed. The first cause is kept.
func (p *pipeline) stopFailed(cause error) {
	p.mu.Lock()
	if p.failure == nil {
		p.failure = cause
	}
	p.mu.Unlock()
	p.setState(Draining)
	p.stopReading()
	p.beginDrain()
	p.boundDrain()
}

func (p *pipeline) cause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

// started makes a pipeline run that nobody has stopped meanwhile. Its first message may have paused it by now.
func (p *pipeline) started() {
	p.mu.Lock()
	p.ran = true
	switch {
	case p.state != Starting:
	case p.resumed != nil:
		p.state = Paused
	default:
		p.state = Running
	}
	p.mu.Unlock()
}

// hasStarted tells whether all that the pipeline waits for at its start is open.
func (p *pipeline) hasStarted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ran
}

func (p *pipeline) setState(s State) {
	p.mu.Lock()
	if p.state != Stopped && p.state != Failed {
		p.state = s
	}
	p.mu.Unlock()
}

// State tells where the pipeline is.
func (p *pipeline) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}
