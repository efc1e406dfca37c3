package engine

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
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
)

// pipeline is one running program: the unit of life. Nothing in it is shared with other pipelines but counted resources.
type pipeline struct {
	prog     *pipelines.Program
	engine   *Engine
	log      *slog.Logger
	revision string
	finite   bool

	sinks    []flow.Sink
	optional []*optionalSink
	health   []health
	sources  []*sourceRun
	releases []func() error

	count   *counters
	budget  *budget
	runs    sync.Pool
	workers chan *worker
	holdIDs atomic.Uint64
	made    atomic.Int64 // bytes that the records of batches under way have become
	// widest is how many records of a batch are computed side by side.
	widest int
	// mostMade is beyond how many nobody computes ahead.
	mostMade int64

	// reading ends when no more is to be read; draining is closed when the pipeline has begun to drain; hard ends when what is in
	// flight is given up.
	reading     context.Context
	stopReading context.CancelFunc
	draining    chan struct{}
	drainOnce   sync.Once
	boundOnce   sync.Once
	hard        context.Context
	hardStop    context.CancelFunc

	active   sync.WaitGroup // batches taken and not given back
	retriers sync.WaitGroup
	routed   chan struct{} // closed when the router has ended
	ended    chan struct{}

	mu       sync.Mutex
	state    State
	failure  error
	resumed  chan struct{} // closed by Resume; nil while not paused
	overtime bool          // the drain deadline passed
	over     bool          // ended is closed
	stuck    bool          // it was given up, and something of it still runs
}

func newPipeline(e *Engine, prog *pipelines.Program) *pipeline {
	p := &pipeline{
		prog: prog, engine: e, log: masked(e.opts.Logger, prog.Mask).With("pipeline", prog.Name), revision: short(prog.Hash),
		health: make([]health, len(prog.Sinks)), count: newCounters(prog), budget: newBudget(prog.Limits), draining: make(chan struct{}), ended: make(chan struct{}),
		routed: make(chan struct{}), state: Starting, finite: true,
	}
	for i := range prog.Sources {
		p.finite = p.finite && prog.Sources[i].Traits.Finite
	}
	p.widest = widest(prog)
	p.mostMade = prog.Limits.InFlightBytes
	if e.mostMade > 0 {
		p.mostMade = e.mostMade
	}
	p.budget.lax = p.breaks(faultNoBudget)
	n := max(8, 2*runtime.GOMAXPROCS(0)) // more than cores, because nodes may wait
	p.workers = make(chan *worker, n)
	for range n {
		p.workers <- newWorker(p)
	}
	p.runs.New = func() any { return &run{} }
	p.reading, p.stopReading = context.WithCancel(context.Background())
	p.hard, p.hardStop = context.WithCancel(context.Background())
	return p
}

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}

// borrow lends a worker for a run; it blocks while all are busy, which bounds what a pipeline computes at a time.
func (p *pipeline) borrow(r *run) *worker {
	w := <-p.workers
	w.run = r
	return w
}

func (p *pipeline) giveBack(w *worker) {
	p.count.fold(w.counts)
	w.run, w.retrying, w.attempts = nil, false, 0
	select {
	case p.workers <- w:
	default: // a spare one
	}
}

// withWorker lends a worker to f for a sub-run of a record.
func (p *pipeline) withWorker(sub *run, f func(w *worker)) {
	if sub.spare {
		p.withSpareWorker(sub, f)
		return
	}
	p.lend(p.borrow(sub), f)
}

// withSpareWorker does not wait for a worker: the caller may be a processor that occupies one.
func (p *pipeline) withSpareWorker(sub *run, f func(w *worker)) {
	sub.spare = true
	var w *worker
	select {
	case w = <-p.workers:
	default:
		w = newWorker(p)
	}
	w.run = sub
	p.lend(w, f)
}

func (p *pipeline) lend(w *worker, f func(w *worker)) {
	defer p.giveBack(w)
	w.rec, w.made = 0, 0
	f(w)
}

// open connects the sinks, then the sources. On failure everything opened is closed again.
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
	p.optional = make([]*optionalSink, len(p.prog.Sinks))
	p.sinks = make([]flow.Sink, len(p.prog.Sinks))
	for i := range p.prog.Sinks {
		s := &p.prog.Sinks[i]
		sink, err := guarded(func() (flow.Sink, error) { return s.Open(ctx, p.host(s.Name, s.Connector)) })
		if err != nil {
			return openError("sink", s.Name, err)
		}
		p.sinks[i] = sink
		if s.Optional {
			p.optional[i] = newOptionalSink(p, i)
		}
	}
	for i := range p.prog.Sources {
		s := &p.prog.Sources[i]
		src, err := guarded(func() (flow.Source, error) { return s.Open(ctx, p.host(s.Name, s.Connector)) })
		if err != nil {
			return openError("source", s.Name, err)
		}
		p.sources = append(p.sources, newSourceRun(p, s, src))
	}
	return nil
}

// close ends sources and sinks and gives shared resources back.
func (p *pipeline) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var errs []error
	for _, s := range p.sources {
		errs = append(errs, guard(func() error { return s.source.Close(ctx) }))
	}
	for _, o := range p.optional {
		if o != nil {
			o.close(ctx)
		}
	}
	for _, s := range p.sinks {
		if s != nil {
			errs = append(errs, guard(func() error { return s.Close(ctx) }))
		}
	}
	p.mu.Lock()
	releases := p.releases
	p.releases = nil
	p.mu.Unlock()
	for _, release := range releases {
		errs = append(errs, guard(release))
	}
	return errors.Join(errs...)
}

// live runs until the pipeline has ended: by exhausted sources, a stop or a failure.
func (p *pipeline) live() {
	endBackground := p.startBackground()
	var reading sync.WaitGroup
	for _, s := range p.sources {
		reading.Go(func() {
			if err := guard(func() error { return s.source.Run(p.reading, s) }); err != nil {
				p.stopFailed(flow.AsError(err, flow.ConfigError, flow.CodeUnavailable))
			}
		})
	}
	reading.Wait()
	p.setState(Draining)
	p.beginDrain()
	failpoint.Hit(failpoint.InDrain)
	p.active.Wait()
	p.retriers.Wait()
	for _, s := range p.sources {
		s.closeMessages()
	}
	<-p.routed
	endBackground()
	late := time.AfterFunc(closeTimeout, p.giveUp)
	err := p.close(context.Background())
	late.Stop()
	if err != nil {
		p.log.Error("close failed", "error", err)
	}
	p.end(err)
}

// startBackground starts what goes on beside the messages; end stops it and waits until it has ended.
func (p *pipeline) startBackground() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, task := range p.prog.Background {
		running.Go(func() {
			err := guard(func() error { task(ctx, p.log); return nil })
			if err != nil {
				p.log.Error("background task failed", "error", err)
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
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
	state := p.state
	p.log.Info("pipeline ended", "state", state, "balance", p.count.balance())
	close(p.ended)
}

// closeTimeout bounds how long sources and sinks may take to close once nothing is in flight.
const closeTimeout = 10 * time.Second

func (p *pipeline) beginDrain() { p.drainOnce.Do(func() { close(p.draining) }) }

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

// setPaused stops intake until Resume; the channel it returns is closed then.
func (p *pipeline) setPaused(cause *flow.Error) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed == nil {
		p.resumed = make(chan struct{})
		if p.state == Running {
			p.state = Paused
		}
		p.log.Error("pipeline paused: it stops reading, and the message stays at its source until a restart; name a sink in on_error to let such messages go there",
			"node", cause.Node, "class", cause.Class.String(), "code", string(cause.Code), "error", cause.Message)
	}
	return p.resumed
}

func (p *pipeline) unpause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil {
		close(p.resumed)
		p.resumed = nil
		if p.state == Paused {
			p.state = Running
		}
	}
}

// whilePaused waits until the pipeline is not paused.
func (p *pipeline) whilePaused(ctx context.Context) error {
	for {
		p.mu.Lock()
		resumed := p.resumed
		p.mu.Unlock()
		if resumed == nil {
			return ctx.Err()
		}
		select {
		case <-resumed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// started makes a pipeline run that nobody has stopped meanwhile.
func (p *pipeline) started() {
	p.mu.Lock()
	if p.state == Starting {
		p.state = Running
	}
	p.mu.Unlock()
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
