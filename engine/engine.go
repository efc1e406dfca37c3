package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// Options of an engine; the zero value is usable.
type Options struct {
	// Logger for life-cycle events and failures; slog.Default() when nil.
	Logger *slog.Logger
	// Instance tells engines apart that run the same pipelines; the host name when empty.
	Instance string
	// StateDir is the directory for state; ".millstream" when empty. It is made only when something is kept.
	StateDir string
	// Now is the pipelines' clock; time.Now when nil.
	Now func() time.Time
	// Pause passes time where the engine waits: before a retry, and for nodes that pace messages. It returns when that time has passed or
	// ctx has ended. nil waits for real; a clock that stands still needs one that does not.
	Pause func(ctx context.Context, d time.Duration)
	// Middleware is added to each pipeline's router. A message there is a whole batch. One that refuses a batch, or acknowledges it
	// without calling the handler, gives it back to its source unsettled, and gives up the order of its keys.
	Middleware []message.HandlerMiddleware
	// DrainTimeout is how long a pipeline that ends by a failure (stop, a source that cannot go on) may take to let end what is in flight;
	// what is left then stays at its source. 10 s when 0. A Stop has the deadline of its context instead.
	DrainTimeout time.Duration
	// Unhandled is told of each message that no on_error settled, before its pipeline pauses or stops; it is called concurrently and may be
	// nil.
	Unhandled func(Unhandled)
}

// Unhandled is a message that failed for good without an on_error that settles it.
type Unhandled struct {
	Pipeline string
	Origin   string
	Err      *flow.Error
	Payload  []byte
}

// Engine runs pipelines in one process, each isolated from the others.
type Engine struct {
	opts   Options
	shared *shared
	// random gives a number below n; tests make it repeatable. broken is for tests alone, and so is mostMade, in place of in_flight_bytes.
	random   func(n int64) int64
	broken   func(f fault) bool
	mostMade int64

	mu        sync.Mutex
	pipelines map[string]*Pipeline
}

// ErrDuplicate is returned by Start for a name that is running already.
var ErrDuplicate = errors.New("a pipeline of this name is running")

// New makes an engine that runs nothing yet.
func New(opts Options) *Engine {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = func() time.Time { return time.Now().UTC() }
	}
	if opts.Instance == "" {
		opts.Instance, _ = os.Hostname()
	}
	if opts.DrainTimeout <= 0 {
		opts.DrainTimeout = 10 * time.Second
	}
	if opts.StateDir == "" {
		opts.StateDir = ".millstream"
	}
	return &Engine{
		opts: opts, shared: newShared(), pipelines: map[string]*Pipeline{},
		random: rand.Int64N,
	}
}

// Start opens a program's sinks and sources and runs it. When it fails, nothing of the pipeline is left, and no other pipeline has
// noticed. ctx bounds the opening alone, and what the components get for it ends with it.
func (e *Engine) Start(ctx context.Context, prog *pipelines.Program) (*Pipeline, error) {
	e.mu.Lock()
	old := e.pipelines[prog.Name]
	if old != nil && !old.hasEnded() {
		e.mu.Unlock()
		return nil, fmt.Errorf("start %q: %w", prog.Name, ErrDuplicate)
	}
	p := newPipeline(e, prog)
	handle := &Pipeline{p: p}
	e.pipelines[prog.Name] = handle
	e.mu.Unlock()
	if err := e.launch(ctx, p); err != nil {
		p.end(err)
		e.takeBack(handle, old)
		return nil, fmt.Errorf("start %q: %w", prog.Name, err)
	}
	return handle, nil
}

func (e *Engine) launch(ctx context.Context, p *pipeline) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	sources := p.sourceList()
	p.read(len(sources))
	for _, s := range sources {
		s.start()
	}
	g := p.graph.Load()
	g.startBackground() //nolint:contextcheck // it goes on when the opening is over
	p.started()
	p.log.Info("pipeline started", "revision", g.revision)
	go p.live() //nolint:gosec,contextcheck // ctx bounds the opening alone
	return nil
}

// takeBack forgets a pipeline that did not start; what ran under its name before is listed again.
func (e *Engine) takeBack(h, old *Pipeline) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.pipelines[h.Name()] != h:
	case old != nil:
		e.pipelines[h.Name()] = old
	default:
		delete(e.pipelines, h.Name())
	}
}

// Forget takes a pipeline off the list; one that has not ended stays there.
func (e *Engine) Forget(h *Pipeline) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pipelines[h.Name()] == h && h.hasEnded() {
		delete(e.pipelines, h.Name())
	}
}

// Pipelines lists all pipelines that were started and not replaced, by name.
func (e *Engine) Pipelines() []*Pipeline {
	e.mu.Lock()
	defer e.mu.Unlock()
	ps := make([]*Pipeline, 0, len(e.pipelines))
	for _, p := range e.pipelines {
		ps = append(ps, p)
	}
	sort.Slice(ps, func(i, j int) bool { return ps[i].Name() < ps[j].Name() })
	return ps
}

// Stop drains all pipelines side by side, but those that feed others of the process before these, and returns when each has ended. When ctx is done first, what is in flight stays at its
// source; the error is then ErrDeadline. Stop returns at the latest 5 s after ctx is done, whatever the components do.
func (e *Engine) Stop(ctx context.Context) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	all := e.Pipelines()
	feeders := feedersOf(all)
	for _, p := range all {
		wg.Add(1)
		go func() {
			defer wg.Done()
			err := p.stopAfter(ctx, feeders[p])
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// host is what one component of a pipeline is lent.
type host struct {
	p      *pipeline
	name   string
	log    *slog.Logger
	limits flow.Limits

	mu       sync.Mutex
	releases []func() error
}

func (p *pipeline) host(name, connector string, limits flow.Limits) *host {
	return &host{p: p, name: name, log: p.log.With("node", name, "connector", connector), limits: limits}
}

func (h *host) Pipeline() string     { return h.p.name }
func (h *host) Name() string         { return h.name }
func (h *host) Instance() string     { return h.p.engine.opts.Instance }
func (h *host) Logger() *slog.Logger { return h.log }
func (h *host) Limits() flow.Limits  { return h.limits }
func (h *host) StateDir() string {
	return filepath.Join(h.p.engine.opts.StateDir, h.p.name, h.name)
}

func (h *host) Share(key string, open func() (io.Closer, error)) (io.Closer, func() error, error) {
	res, release, err := h.p.engine.shared.acquire(key, open)
	if err != nil {
		return nil, nil, err
	}
	h.mu.Lock()
	h.releases = append(h.releases, release)
	h.mu.Unlock()
	return res, release, nil
}

// release gives back what the component has not given back itself.
func (h *host) release() error {
	h.mu.Lock()
	releases := h.releases
	h.releases = nil
	h.mu.Unlock()
	var errs []error
	for _, r := range releases {
		errs = append(errs, guard(r))
	}
	return errors.Join(errs...)
}

var _ flow.Host = (*host)(nil)
