package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// sourceChange is what a reload does with one source.
type sourceChange struct {
	name string
	// old runs, and oldSpec is what the old program says of it; nil when it is new.
	old     *sourceRun
	oldSpec *pipelines.Source
	// spec is what the new program says; nil when it is gone.
	spec  *pipelines.Source
	index int

	keep   bool // old goes on
	gated  bool // it waits while what is in flight ends
	stops  bool // old is stopped
	late   bool // spec is opened once old is closed
	opened *sourceRun
	closed bool // old is closed
}

// sinkChange is what a reload does with one sink.
type sinkChange struct {
	name    string
	old     *sinkRun
	oldSpec *pipelines.Sink
	spec    *pipelines.Sink
	keep    bool
	late    bool
	made    *sinkRun // the new one
	opened  bool
	closed  bool
}

// compare decides what happens to each source and sink.
func (r *reload) compare() error {
	p := r.p
	p.mu.Lock()
	r.paused = p.resumed != nil
	p.mu.Unlock()
	r.together = r.next.ExactlyOnce || r.old.prog.ExactlyOnce
	r.compareSinks()
	if err := r.compareSources(); err != nil {
		return err
	}
	for _, c := range r.sources {
		c.late = c.spec != nil && !c.keep && (r.together || c.spec.Traits.Single) && r.collides(c.name, &c.spec.Traits)
	}
	for _, c := range r.sinks {
		c.late = c.spec != nil && !c.keep && (r.together || c.spec.Traits.Single) && r.collides(c.name, &c.spec.Traits)
	}
	return nil
}

func (r *reload) compareSinks() {
	running := map[string]*sinkRun{}
	for _, s := range r.old.sinks {
		running[s.name] = s
	}
	was := map[string]*pipelines.Sink{}
	for i := range r.old.prog.Sinks {
		was[r.old.prog.Sinks[i].Name] = &r.old.prog.Sinks[i]
	}
	free := numbers(r.old.sinks)
	for i := range r.next.Sinks {
		spec := &r.next.Sinks[i]
		c := &sinkChange{name: spec.Name, spec: spec, old: running[spec.Name], oldSpec: was[spec.Name]}
		// What a sink was told about messages' sizes when it was opened must hold.
		c.keep = c.old != nil && spec.Same(c.oldSpec) && !r.together && r.next.Limits.MaxMessage == r.old.prog.Limits.MaxMessage
		if c.keep {
			r.result.KeptSinks = append(r.result.KeptSinks, c.name)
		} else {
			c.made = newSinkRun(r.p, spec, free())
			r.drains = r.drains || c.old != nil
		}
		delete(running, c.name)
		r.sinks = append(r.sinks, c)
	}
	for _, s := range r.old.sinks {
		if running[s.name] != nil {
			r.sinks = append(r.sinks, &sinkChange{name: s.name, old: s, oldSpec: was[s.name]})
			r.drains = true
		}
	}
}

// numbers gives numbers that no sink of the list has, from the least.
func numbers(sinks []*sinkRun) func() int {
	taken := map[int]bool{}
	for _, s := range sinks {
		taken[s.number] = true
	}
	n := -1
	return func() int {
		for n++; taken[n]; n++ {
			continue
		}
		return n
	}
}

func (r *reload) compareSources() error {
	running := map[string]*sourceRun{}
	for _, s := range r.p.sourceList() {
		running[s.name] = s
	}
	was := r.old.sources
	for i := range r.next.Sources {
		spec := &r.next.Sources[i]
		c := &sourceChange{name: spec.Name, spec: spec, index: i, old: running[spec.Name]}
		r.sources = append(r.sources, c)
		delete(running, c.name)
		if c.old == nil {
			continue
		}
		c.oldSpec = was[c.name].spec
		if err := r.compareSource(c); err != nil {
			return fmt.Errorf("source %q: %w", c.name, err)
		}
	}
	for _, s := range r.p.sourceList() {
		if running[s.name] != nil {
			r.sources = append(r.sources, &sourceChange{name: s.name, old: s, oldSpec: was[s.name].spec, stops: true})
		}
	}
	for _, c := range r.sources {
		c.gated = c.keep && r.drains
		if c.keep {
			r.result.KeptSources = append(r.result.KeptSources, c.name)
		}
	}
	return nil
}

// compareSource decides about a source that both programs have.
func (r *reload) compareSource(c *sourceChange) error {
	same, before := c.spec.Same(c.oldSpec) && !r.together, r.old.prog.Limits
	if same && once(c.oldSpec) {
		// It goes on where it is: opened again, it would begin anew, or not at all.
		c.keep = true
		if r.paused || r.next.Limits.MaxMessage != before.MaxMessage {
			return ErrReadOnce
		}
	} else {
		if c.oldSpec.Traits.Stream {
			return ErrReadOnce
		}
		// A source sizes what it reads ahead by the limits. What waits in a pause is read again.
		c.keep = same && !r.paused && r.next.Limits == before
	}
	c.stops = !c.keep
	r.drains = r.drains || c.spec.Order != c.oldSpec.Order
	return nil
}

// once tells that a source cannot be opened again where it stands.
func once(s *pipelines.Source) bool { return s.Traits.Stream || s.Traits.Finite }

// collides tells whether something that is closed must be closed before a part with these traits is opened.
func (r *reload) collides(name string, t *flow.Traits) bool {
	hit := func(old string, gone bool, o *flow.Traits) bool {
		return gone && (old == name || t.Exclusive != "" && t.Exclusive == o.Exclusive || t.Address != "" && t.Address == o.Address)
	}
	for _, c := range r.sources {
		if c.old != nil && hit(c.name, c.stops, &c.oldSpec.Traits) {
			return true
		}
	}
	for _, c := range r.sinks {
		if c.old != nil && hit(c.name, !c.keep, &c.oldSpec.Traits) {
			return true
		}
	}
	return false
}

// prepare opens the sink if it is new and can be open now, or tries whether it could be. Nobody waits for an optional one.
func (c *sinkChange) prepare(ctx context.Context, r *reload) error {
	switch {
	case c.spec == nil || c.keep:
		return nil
	case c.late && c.spec.Optional:
		return nil
	case c.late:
		return tryConnect(ctx, c.spec.Connect, r.p.host(c.spec.Name, c.spec.Connector, r.next.Limits), "sink", c.name)
	}
	return c.open(ctx, r)
}

func (c *sinkChange) open(ctx context.Context, r *reload) error {
	var after <-chan struct{}
	if c.old != nil && c.old.optional != nil {
		after = c.old.optional.ended
	}
	_, err := within(ctx, func() (struct{}, error) {
		return struct{}{}, c.made.open(ctx, r.next, c.spec, after)
	}, func(struct{}) { _ = c.made.close(context.Background()) }) //nolint:contextcheck // it came too late for ctx
	c.opened = err == nil
	return err
}

// run is the sink that the new revision uses.
func (c *sinkChange) run() *sinkRun {
	if c.keep {
		return c.old
	}
	return c.made
}

func (c *sinkChange) close() error {
	c.closed = true
	return closeBounded("sink", c.name, c.old.close)
}

// prepare is that of a sink.
func (c *sourceChange) prepare(ctx context.Context, r *reload) error {
	switch {
	case c.spec == nil || c.keep:
		return nil
	case c.late:
		return tryConnect(ctx, c.spec.Connect, r.p.host(c.spec.Name, c.spec.Connector, r.next.Limits), "source", c.name)
	}
	return c.open(ctx, r)
}

func (c *sourceChange) open(ctx context.Context, r *reload) error {
	s, err := within(ctx, func() (*sourceRun, error) { return r.p.openSource(ctx, r.next, c.index) },
		func(s *sourceRun) { _ = s.close(context.Background()) })
	if err == nil {
		c.opened = s
	}
	return err
}

func (c *sourceChange) close() error {
	c.closed = true
	c.old.p.removeSource(c.old)
	return closeBounded("source", c.name, c.old.close)
}

// tryConnect asks a component that cannot be open yet whether it could be.
func tryConnect(ctx context.Context, connect func(context.Context, flow.Host) error, h *host, kind, name string) error {
	if connect == nil {
		return nil
	}
	_, err := within(ctx, func() (struct{}, error) {
		return struct{}{}, guard(func() error { return connect(ctx, h) })
	}, func(struct{}) {})
	if err := errors.Join(err, h.release()); err != nil {
		return fmt.Errorf("connect %s %q: %w", kind, name, err)
	}
	return nil
}

// closeBounded closes a component, and leaves it behind when that takes too long.
func closeBounded(kind, name string, closes func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_, err := within(ctx, func() (struct{}, error) { return struct{}{}, closes(ctx) }, func(struct{}) {})
	if err != nil {
		return fmt.Errorf("close %s %q: %w", kind, name, err)
	}
	return nil
}

// within waits for f, which is to end soon after ctx does. When it does not, it is left behind, and what it still gives goes to late.
func within[T any](ctx context.Context, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-t.C:
	}
	go func() {
		if r := <-done; r.err == nil {
			late(r.value)
		}
	}()
	var none T
	return none, fmt.Errorf("it does not obey: %w", ctx.Err())
}
