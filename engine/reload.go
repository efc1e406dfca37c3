package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millstream/millstream/internal/failpoint"
	"github.com/millstream/millstream/pipelines"
)

// ReloadOptions bound a reload; the zero value is usable.
type ReloadOptions struct {
	// OpenTimeout is how long what is new may take to open. 30 s when 0.
	OpenTimeout time.Duration
	// DrainTimeout is how long what is in flight may take to end, where it has to. The engine's when 0.
	DrainTimeout time.Duration
	// GiveUp, when it is closed, ends the opening of what is not open by then; the old revision runs on. It may be nil.
	GiveUp <-chan struct{}
}

// Reloaded is what a reload did.
type Reloaded struct {
	// KeptSources and KeptSinks went on as they are, without a reconnect.
	KeptSources, KeptSinks []string
	// Drained is how many records were in flight when reading stopped for the reload, and have ended.
	Drained int64
	// Pause is how long a source that is in both revisions could not hand over records; 0 for a swap.
	Pause time.Duration
	// Waited is how much of the pause it took until what was in flight had ended: the time of the nodes and sinks, not of the reload.
	Waited time.Duration
	// RolledBack: the old revision had to close something that the new one then could not open; it has opened it again and runs.
	RolledBack bool
	// Trouble is what went wrong without changing the outcome, such as a close that failed.
	Trouble error
}

// Errors of a reload.
var (
	// ErrEnded: the pipeline has ended or is about to; nothing was changed.
	ErrEnded = errors.New("the pipeline has ended or is about to")
	// ErrReadOnce: the reload needs a source to be opened again that can be read only once; nothing was changed.
	ErrReadOnce = errors.New("the source can be read only once and is not opened again")
	// ErrStalled: the reload has to wait for what is in flight, which did not end in time and could not be read again; nothing was changed.
	ErrStalled = errors.New("what is in flight did not end in time")
)

// Reload makes the running pipeline run next, a program of the same name. What lies between sources and sinks is exchanged without a
// pause: a batch meets the old revision or the new one. Sources and sinks that did not change go on as they are. Others are opened before
// the old ones are let go of, or tried, where two cannot be open at a time; then reading stops as far as needed, what is in flight ends, and
// the new ones take over: of each key, what the old revision sends comes before what the new one sends. What is in flight beyond the drain
// timeout is given up and read again. Messages that wait in a pause are read again too. ctx bounds the opening; when it is done, a drain
// ends at once.
//
// On an error the old revision runs on: untouched, or after what had to be closed was opened again. When even that fails the pipeline has
// failed. Reloads of one pipeline are served one after another.
func (h *Pipeline) Reload(ctx context.Context, next *pipelines.Program, opts ReloadOptions) (Reloaded, error) {
	p := h.p
	if opts.OpenTimeout <= 0 {
		opts.OpenTimeout = 30 * time.Second
	}
	if opts.DrainTimeout <= 0 {
		opts.DrainTimeout = p.engine.opts.DrainTimeout
	}
	p.reloading.Lock()
	defer p.reloading.Unlock()
	if next.Name != p.name || !p.read(1) {
		return Reloaded{}, fmt.Errorf("reload %q: %w", p.name, ErrEnded)
	}
	defer p.read(-1)
	r := &reload{p: p, old: p.graph.Load(), next: next, opts: opts}
	if err := r.do(ctx); err != nil {
		return r.result, fmt.Errorf("reload %q: %w", p.name, err)
	}
	p.log.Info("pipeline runs a new revision", "revision", p.graph.Load().revision, "before", r.old.revision, "pause", r.result.Pause)
	return r.result, nil
}

// reload is one exchange of what a pipeline runs.
type reload struct {
	p       *pipeline
	old     *graph
	next    *pipelines.Program
	opts    ReloadOptions
	sources []*sourceChange
	sinks   []*sinkChange
	// drains: sources that go on must wait at their gate until nothing is in flight.
	drains bool
	paused bool
	// together: sources and sinks share a transaction and what is learned in it, so all of them are opened anew.
	together bool
	result   Reloaded

	gated     time.Time     // when the first source was held up; zero when none was
	waited    time.Duration // until nothing of what had to end was in flight
	underWay  int64         // records in flight then
	returned  int64         // records that had gone back to their sources until then
	exchanged bool          // the new revision runs
}

// do leads the reload through its steps.
func (r *reload) do(ctx context.Context) error {
	if r.p.reading.Err() != nil {
		return ErrEnded
	}
	if err := r.compare(); err != nil {
		return err
	}
	defer r.discard() //nolint:contextcheck // what was opened is closed whatever ctx says
	defer r.openGates()
	if err := r.openNew(ctx); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ReloadOpened)
	if err := r.drain(ctx); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ReloadGated)
	if err := r.exchange(ctx); err != nil {
		return r.rollBack(ctx, err)
	}
	r.switchOver() //nolint:contextcheck // what begins here goes on when the reload is over
	failpoint.Hit(failpoint.ReloadSwitched)
	r.openGates()
	r.account()
	r.closeOld() //nolint:contextcheck // it has a time of its own
	failpoint.Hit(failpoint.ReloadClosed)
	return nil
}

// openNew opens what can be open beside what it replaces, and tries the rest.
func (r *reload) openNew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.OpenTimeout)
	defer cancel()
	defer context.AfterFunc(r.p.reading, cancel)() //nolint:contextcheck // a stop ends the opening
	if r.opts.GiveUp != nil {
		go func() {
			select {
			case <-r.opts.GiveUp:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	for _, c := range r.sinks {
		if err := c.prepare(ctx, r); err != nil {
			return err
		}
	}
	for _, c := range r.sources {
		if err := c.prepare(ctx, r); err != nil {
			return err
		}
	}
	var opened []*sinkRun
	for _, c := range r.sinks {
		if c.opened {
			opened = append(opened, c.made)
		}
	}
	awaitFirst(ctx, opened)
	return nil
}

// exchange closes what is stopped, and opens what had to wait for that.
func (r *reload) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.OpenTimeout)
	defer cancel()
	defer context.AfterFunc(r.p.reading, cancel)() //nolint:contextcheck // a stop ends the opening
	for _, c := range r.sources {
		if c.stops {
			r.trouble(c.close()) //nolint:contextcheck // it has a time of its own
		}
	}
	for _, c := range r.sinks {
		if c.late && c.old != nil {
			r.trouble(c.close()) //nolint:contextcheck // it has a time of its own
		}
	}
	for _, c := range r.sinks {
		if c.late {
			if err := c.open(ctx, r); err != nil {
				return err
			}
		}
	}
	for _, c := range r.sources {
		if c.late {
			if err := c.open(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// switchOver makes the new revision the one that runs, and lets its sources read.
func (r *reload) switchOver() {
	p := r.p
	sinks := make([]*sinkRun, 0, len(r.next.Sinks))
	for _, c := range r.sinks {
		if c.spec != nil {
			sinks = append(sinks, c.run())
			c.run().setMost(r.next.Limits.InFlightBytes)
		}
	}
	if p.breaks(faultOldIndexes) {
		sinks = r.oldIndexes(sinks)
	}
	g := newGraph(p, r.next, sinks)
	old, now := r.old.prog.Mask, r.next.Mask
	p.setMask(func(text string) string { return now(old(text)) })
	p.setLimits(r.next.Limits)
	for _, c := range r.sources {
		if c.gated {
			c.old.forgetLanes()
		}
	}
	if r.paused {
		p.unpause()
	}
	g.startBackground()
	p.graph.Store(g)
	p.count.forget(r.next)
	r.exchanged = true
	p.leftovers.Go(r.old.endBackground)
	for _, c := range r.sources {
		if c.opened != nil {
			p.begin(c.opened)
		}
	}
}

// oldIndexes is for tests alone: the open sinks in an order that the new program does not have. Optional ones have a queue that others lack.
func (r *reload) oldIndexes(sinks []*sinkRun) []*sinkRun {
	for i := range sinks {
		if i < len(r.old.sinks) && (sinks[i].optional == nil) == (r.old.sinks[i].optional == nil) {
			sinks[i] = r.old.sinks[i]
		}
	}
	return sinks
}

// begin lets an open source read.
func (p *pipeline) begin(s *sourceRun) {
	p.addSource(s)
	if p.read(1) {
		s.start()
	}
}

// closeOld ends the sinks that only the old revision had; nothing uses them any more.
func (r *reload) closeOld() {
	for _, c := range r.sinks {
		if c.old != nil && !c.keep && !c.closed {
			r.trouble(c.close())
		}
	}
}

// trouble notes what changes nothing about the outcome.
func (r *reload) trouble(err error) {
	if err != nil {
		r.result.Trouble = errors.Join(r.result.Trouble, err)
		r.p.log.Error("something of the old revision did not close well", "error", err)
	}
}
