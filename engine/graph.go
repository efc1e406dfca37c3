package engine

import (
	"context"
	"runtime"
	"sync"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// graph is one revision of a pipeline: the program, and what of the running pipeline its indices mean. It is immutable. A batch keeps the
// graph it was taken in with until all of it has ended, also where it is tried again, so that it meets the old revision or the new one,
// never both.
type graph struct {
	p        *pipeline
	prog     *pipelines.Program
	revision string
	sources  map[string]*graphSource
	// sinks and nodes go by the program's indices.
	sinks []*sinkRun
	nodes []*nodeCounter
	// finite: all sources end by themselves. widest is how many records of a batch are computed side by side.
	finite bool
	widest int

	workers chan *worker
	// background is what goes on beside the messages.
	background *background
}

// graphSource is what one revision says of a source.
type graphSource struct {
	spec *pipelines.Source
	env  *flow.Env
}

// newGraph joins a program to the pipeline's open sinks, which are in the program's order.
func newGraph(p *pipeline, prog *pipelines.Program, sinks []*sinkRun) *graph {
	g := &graph{
		p: p, prog: prog, revision: short(prog.Hash), sources: make(map[string]*graphSource, len(prog.Sources)), sinks: sinks,
		nodes: p.count.nodesOf(prog), finite: true, widest: widest(prog), background: &background{cancel: func() {}},
	}
	for i := range prog.Sources {
		s := &prog.Sources[i]
		g.finite = g.finite && s.Traits.Finite
		g.sources[s.Name] = &graphSource{spec: s, env: &flow.Env{
			Source: s.Name, Connector: s.Connector, Format: s.Format, Coder: s.Coder, Paths: prog.Paths,
			Now: p.engine.opts.Now, Extra: s.Extra,
		}}
	}
	n := computedAtATime(g.widest)
	g.workers = make(chan *worker, n)
	for range n {
		g.workers <- nil // made when first lent
	}
	return g
}

// computedAtATime is how many batches a revision computes at a time: one for each core, since what a body is read to may be a hundred times
// as large as it was; more where a node waits for somebody outside.
func computedAtATime(widest int) int {
	n := max(2, runtime.GOMAXPROCS(0))
	if widest > 1 {
		n = max(8, 2*n)
	}
	return n
}

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}

// borrow lends a worker for a run; it blocks while all are busy, which bounds what a revision computes at a time.
func (g *graph) borrow(r *run) *worker {
	w := <-g.workers
	if w == nil {
		w = newWorker(g)
	}
	w.begin(r)
	return w
}

func (g *graph) giveBack(w *worker) {
	g.fold(w.counts)
	w.run, w.retrying, w.attempts = nil, false, 0
	select {
	case g.workers <- w:
	default: // a spare one
	}
}

// withWorker lends a worker to f for a sub-run of a record.
func (g *graph) withWorker(sub *run, f func(w *worker)) {
	if sub.spare {
		g.withSpareWorker(sub, f)
		return
	}
	g.lend(g.borrow(sub), f)
}

// withSpareWorker does not wait for a worker: the caller may be a processor that occupies one.
func (g *graph) withSpareWorker(sub *run, f func(w *worker)) {
	sub.spare = true
	var w *worker
	select {
	case w = <-g.workers:
	default:
	}
	if w == nil {
		w = newWorker(g)
	}
	w.begin(sub)
	g.lend(w, f)
}

func (g *graph) lend(w *worker, f func(w *worker)) {
	defer g.giveBack(w)
	w.rec, w.made = 0, 0
	f(w)
}

// background is what goes on beside the messages of one revision.
type background struct {
	running sync.WaitGroup
	cancel  context.CancelFunc
}

// startBackground starts what goes on beside the messages.
func (g *graph) startBackground() {
	ctx, cancel := context.WithCancel(context.Background())
	g.background.cancel = cancel
	for _, task := range g.prog.Background {
		g.background.running.Go(func() {
			if err := guard(func() error { task(ctx, g.p.log); return nil }); err != nil {
				g.p.log.Error("background task failed", "error", err)
			}
		})
	}
}

// endBackground stops it and waits until it has ended.
func (g *graph) endBackground() {
	g.background.cancel()
	g.background.running.Wait()
}
