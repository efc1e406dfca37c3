package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millstream/millstream/pipelines"
)

// drain holds up and stops sources as far as the reload needs it, and waits until what they have in flight has ended. What has not ended
// in time is given up; its source is opened again then. An error means that the old revision runs on.
func (r *reload) drain(ctx context.Context) error {
	if !r.drains && !r.stopsAny() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.DrainTimeout)
	defer cancel()
	r.gated = time.Now()
	defer func() { r.waited = time.Since(r.gated) }()
	r.underWay, r.returned = r.p.count.inFlight.Load(), r.p.count.returned.Load()
	for _, c := range r.sources {
		if c.gated {
			c.old.closeGate()
		}
	}
	// What cannot be read again decides first, while everything can still go on.
	for _, c := range r.sources {
		if c.gated && once(c.oldSpec) && !r.drained(ctx, c) {
			return fmt.Errorf("source %q: %w", c.name, ErrStalled)
		}
	}
	for _, c := range r.sources {
		if c.stops {
			c.old.stopReading()
			c.old.beginDrain()
		}
	}
	for _, c := range r.sources {
		if c.stops && !(ends(ctx, c.old.returned) && ends(ctx, c.old.idle())) || c.gated && !r.drained(ctx, c) {
			r.giveUp(c)
		}
	}
	return r.waitForGivenUp() //nolint:contextcheck // it has a time of its own
}

// drained waits until nothing of a source at its gate is in flight.
func (r *reload) drained(ctx context.Context, c *sourceChange) bool {
	return r.p.breaks(faultSwitchUndrained) || ends(ctx, c.old.idle())
}

func (r *reload) stopsAny() bool {
	for _, c := range r.sources {
		if c.stops {
			return true
		}
	}
	return false
}

// giveUp lets go of what a source has in flight. A source that was to go on is opened again: it has records that must be read again.
func (r *reload) giveUp(c *sourceChange) {
	r.p.log.Warn("what is in flight did not end in time for the reload; it stays at its source", "node", c.name)
	c.old.stopReading()
	c.old.beginDrain()
	c.old.hardStop()
	c.stops = true
	if c.gated {
		c.keep, c.gated, c.late = false, false, true
		r.result.KeptSources = without(r.result.KeptSources, c.name)
	}
}

// waitForGivenUp waits a little for the sources that were stopped at once. When one does not obey, the pipeline has failed.
func (r *reload) waitForGivenUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	for _, c := range r.sources {
		if !c.stops {
			continue
		}
		if !ends(ctx, c.old.returned) || !ends(ctx, c.old.idle()) {
			err := fmt.Errorf("source %q does not stop: %w", c.name, ErrDeadline)
			r.p.stopFailed(err)
			return err
		}
	}
	return nil
}

// ends waits for an event, and reports false when ctx ends first.
func ends(ctx context.Context, event <-chan struct{}) bool {
	select {
	case <-event:
		return true
	default:
	}
	select {
	case <-event:
		return true
	case <-ctx.Done():
		return false
	}
}

func without(list []string, name string) []string {
	var out []string
	for _, s := range list {
		if s != name {
			out = append(out, s)
		}
	}
	return out
}

// closeGate holds back what the source pushes; what is in flight goes on.
func (s *sourceRun) closeGate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate == nil {
		s.gate = make(chan struct{})
	}
}

func (s *sourceRun) openGate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
}

// forgetLanes lets the source's lanes begin anew, with the order that the next batch's revision says; nothing of them is in flight.
func (s *sourceRun) forgetLanes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.lanes)
}

// openGates lets the sources go on that were held up.
func (r *reload) openGates() {
	for _, c := range r.sources {
		if c.old != nil && !c.closed {
			c.old.openGate()
		}
	}
}

// account notes how long sources were held up and what has ended meanwhile.
func (r *reload) account() {
	if r.gated.IsZero() {
		return
	}
	r.result.Drained = max(0, r.underWay-(r.p.count.returned.Load()-r.returned))
	for _, c := range r.sources {
		if c.gated || c.stops && c.spec != nil {
			r.result.Pause, r.result.Waited = time.Since(r.gated), r.waited
		}
	}
}

// discard closes what was opened for a revision that does not run.
func (r *reload) discard() {
	if r.exchanged {
		return
	}
	for _, c := range r.sources {
		if s := c.opened; s != nil {
			c.opened = nil
			r.trouble(closeBounded("source", c.name, s.close))
		}
	}
	for _, c := range r.sinks {
		if c.opened {
			c.opened = false
			c.made.hardStop() // it has nothing to send
			r.trouble(closeBounded("sink", c.name, c.made.close))
		}
	}
}

// rollBack opens again what the old revision had to close for the new one, which could not be opened: cause.
func (r *reload) rollBack(ctx context.Context, cause error) error {
	r.discard() //nolint:contextcheck // what was opened is closed whatever ctx says
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.opts.OpenTimeout)
	defer cancel()
	defer context.AfterFunc(r.p.reading, cancel)() //nolint:contextcheck // a stop ends the opening
	if err := r.reopen(ctx); err != nil {
		if r.p.reading.Err() != nil {
			return cause // it was stopped meanwhile: what is closed would be closed now
		}
		err = errors.Join(cause, fmt.Errorf("roll back: %w", err))
		r.p.stopFailed(err)
		return err
	}
	r.result.RolledBack = true
	r.account()
	return cause
}

// reopen opens what was closed as the old program says, and lets it read.
func (r *reload) reopen(ctx context.Context) error {
	reopened := map[*sinkRun]*sinkRun{}
	for _, c := range r.sinks {
		if c.closed {
			s := newSinkRun(r.p, c.oldSpec, c.old.number)
			if err := again(ctx, func() error { return s.open(ctx, r.old.prog, c.oldSpec, nil) }); err != nil {
				r.restore(reopened) // they are closed with the pipeline
				return err
			}
			reopened[c.old] = s
		}
	}
	r.restore(reopened)
	var opened []*sourceRun
	for _, c := range r.sources {
		if !c.closed {
			continue
		}
		err := again(ctx, func() error {
			s, err := r.p.openSource(ctx, r.old.prog, sourceIndex(r.old.prog.Sources, c.name))
			if err == nil {
				opened = append(opened, s)
			}
			return err
		})
		if err != nil {
			for _, s := range opened {
				r.trouble(closeBounded("source", s.name, s.close)) //nolint:contextcheck // it has a time of its own
			}
			return err
		}
	}
	if r.paused {
		r.p.unpause()
	}
	for _, s := range opened {
		r.p.begin(s)
	}
	return nil
}

// restore lets the old program go on with sinks that were opened again.
func (r *reload) restore(reopened map[*sinkRun]*sinkRun) {
	if len(reopened) == 0 {
		return
	}
	sinks := slices.Clone(r.old.sinks)
	for i, s := range sinks {
		if anew := reopened[s]; anew != nil {
			sinks[i] = anew
		}
	}
	g := newGraph(r.p, r.old.prog, sinks)
	g.background = r.old.background
	r.p.graph.Store(g)
}

// again tries until it works or ctx is done: what was open a moment ago can be open again in all likelihood.
func again(ctx context.Context, open func() error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, err := within(ctx, func() (struct{}, error) { return struct{}{}, open() }, func(struct{}) {})
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func sourceIndex(sources []pipelines.Source, name string) int {
	return slices.IndexFunc(sources, func(s pipelines.Source) bool { return s.Name == name })
}
