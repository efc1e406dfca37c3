package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// A simulated reload changes where the parts of the program stand, and whether a source or sink has to be opened anew. What becomes of a
// message stays the same, so all that is judged holds across it.

// variant is the world's program with its parts in another order, and some sources and sinks opened otherwise than they are now.
func (w *world) variant() *pipelines.Program {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, c := w.rng, w.program
	w.variants++
	p := &pipelines.Program{Name: c.Name, Hash: "sim" + strconv.Itoa(w.variants), Paths: c.Paths, Limits: c.Limits, Order: c.Order}
	nodes, sinks := r.Perm(len(c.Nodes)), r.Perm(len(c.Sinks)) // the new place of each
	p.Nodes, p.Sinks = make([]pipelines.Node, len(nodes)), make([]pipelines.Sink, len(sinks))
	move := func(edges []pipelines.Edge) []pipelines.Edge {
		out := slices.Clone(edges)
		for i, e := range out {
			if e.Sink {
				out[i].Index = sinks[e.Index]
			} else {
				out[i].Index = nodes[e.Index]
			}
		}
		return out
	}
	policy := func(o pipelines.Policy) pipelines.Policy {
		o.Sink = sinks[o.Sink]
		return o
	}
	for i, n := range c.Nodes {
		n.Ports = slices.Clone(n.Ports)
		for j := range n.Ports {
			n.Ports[j] = move(n.Ports[j])
		}
		n.Errors, n.OnError = move(n.Errors), policy(n.OnError)
		p.Nodes[nodes[i]] = n
	}
	for i, s := range c.Sinks {
		s.Errors, s.OnError = move(s.Errors), policy(s.OnError)
		s.Opened, s.Traits.Single = w.version(s.Name, 4)
		p.Sinks[sinks[i]] = s
	}
	for i, s := range c.Sources {
		s.Out, s.Errors, s.OnError = move(s.Out), move(s.Errors), policy(s.OnError)
		if w.sources[i].kind != onceKind {
			s.Opened, s.Traits.Single = w.version(s.Name, 6)
		}
		p.Sources = append(p.Sources, s)
	}
	r.Shuffle(len(p.Sources), func(i, j int) { p.Sources[i], p.Sources[j] = p.Sources[j], p.Sources[i] })
	return p
}

// version is how a part is opened: as it is now, or one time of n otherwise.
func (w *world) version(name string, n int) (opened string, single bool) {
	opened = w.running[name]
	if w.rng.IntN(n) == 0 {
		opened = strconv.Itoa(w.variants)
	}
	return opened, opened != "" && w.chance(name, opened, 14)%2 == 0
}

// reload changes what the pipeline runs, with a little or no time to drain.
func (w *world) reload(p *Pipeline) {
	next := w.variant()
	within := []time.Duration{1, 5 * time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond, time.Minute}[w.intn(5)]
	w.log("reload", "", next.Hash+" within "+within.String())
	returned := p.Balance().Returned
	w.mu.Lock()
	w.reloads = true
	w.mu.Unlock()
	did, err := p.Reload(context.Background(), next, ReloadOptions{DrainTimeout: within, OpenTimeout: time.Minute})
	w.log("reloaded", "", fmt.Sprintf("%+v: %v", did, err))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reloads = false
	w.abandoned = w.abandoned || p.Balance().Returned > returned // they come again
	switch {
	case err == nil:
		for _, s := range next.Sinks {
			w.running[s.Name] = s.Opened
		}
		for _, s := range next.Sources {
			w.running[s.Name] = s.Opened
		}
		if did.Trouble != nil {
			w.violateLocked("a reload had trouble: %v", did.Trouble)
		}
	case errors.Is(err, errSimOpen), errors.Is(err, ErrEnded), errors.Is(err, ErrStalled), errors.Is(err, ErrReadOnce):
	case p.p.reading.Err() != nil: // it was stopped meanwhile
	default:
		w.violateLocked("reload: %v", err)
	}
}

var errSimOpen = errors.New("simulated: it does not open")

// mayOpen lets some openings fail, in reloads alone.
func (w *world) mayOpen() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reloads && w.rng.IntN(12) == 0 {
		return errSimOpen
	}
	return nil
}

// simClient is one opening of a sink: it sees to it that it is used as it should be.
type simClient struct {
	*simSink
	under  int // sends that have not been answered; under the world's lock
	closed bool
}

func (s *simSink) open(context.Context, flow.Host) (flow.Sink, error) {
	w := s.w
	if w.program.Sinks[s.index].Optional && !w.isHealed() && w.intn(3) == 0 {
		w.mu.Lock()
		w.abandoned = true // a dead letter fails without the sink's knowing
		w.mu.Unlock()
		return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "simulated: nobody there")
	}
	if err := w.mayOpen(); err != nil {
		return nil, err
	}
	return &simClient{simSink: s}, nil
}

// Send implements flow.Sink.
func (c *simClient) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	w := c.w
	w.mu.Lock()
	c.under++
	if c.closed {
		w.violateLocked("%s was sent something after it was closed", c.name)
	}
	w.mu.Unlock()
	c.simSink.Send(ctx, outs, func() {
		w.mu.Lock()
		c.under--
		w.mu.Unlock()
		done()
	})
}

// Close implements flow.Sink.
func (c *simClient) Close(context.Context) error {
	w := c.w
	w.mu.Lock()
	if c.under > 0 {
		w.violateLocked("%s was closed with %d sends under way", c.name, c.under)
	}
	if c.closed {
		w.violateLocked("%s was closed twice", c.name)
	}
	c.closed = true
	w.mu.Unlock()
	return nil
}

// simReader is one opening of a source.
type simReader struct {
	*simSource
	ran, closed bool // under the world's lock
}

// Run implements flow.Source.
func (r *simReader) Run(ctx context.Context, in flow.Intake) error {
	r.w.mu.Lock()
	r.ran = true
	r.begin()
	r.w.mu.Unlock()
	return r.simSource.Run(ctx, in)
}

// Settle implements flow.Source.
func (r *simReader) Settle(b *flow.Batch) {
	r.w.mu.Lock()
	if r.closed {
		r.w.violateLocked("a batch of s%d came back after the source was closed", r.index)
	}
	r.w.mu.Unlock()
	r.simSource.Settle(b)
}

// Close implements flow.Source.
func (r *simReader) Close(context.Context) error {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	for _, p := range r.parts {
		if p.flying > 0 && r.ran {
			r.w.violateLocked("s%d was closed with %d batches under way", r.index, p.flying)
		}
	}
	if r.closed {
		r.w.violateLocked("s%d was closed twice", r.index)
	}
	r.closed = true
	return nil
}
