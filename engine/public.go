package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/millstream/millstream/pipelines"
)

// ErrDeadline is returned by Stop when something was still in flight when its context ended. It stays at its source.
var ErrDeadline = errors.New("the drain deadline passed with messages in flight")

// Pipeline is a started program.
type Pipeline struct{ p *pipeline }

// Name is the pipeline's name in its file.
func (h *Pipeline) Name() string { return h.p.name }

// Program is what runs.
func (h *Pipeline) Program() *pipelines.Program { return h.p.graph.Load().prog }

// Revision names what runs, as logs and dead letters show it: the beginning of the program's hash.
func (h *Pipeline) Revision() string { return h.p.graph.Load().revision }

// State tells where the pipeline is in its life.
func (h *Pipeline) State() State { return h.p.State() }

// Balance is the account of records at this moment.
func (h *Pipeline) Balance() Balance { return h.p.count.balance() }

// Left is how many records stay at their sources unsettled, or are in flight. What a source got back does not count any more once a reload
// has opened it again: it reads that anew.
func (h *Pipeline) Left() int64 {
	n := h.p.count.inFlight.Load()
	for _, s := range h.p.sourceList() {
		n += s.left.Load()
	}
	return n
}

// Nodes are the counts of each node, in the program's order.
func (h *Pipeline) Nodes() []NodeCount {
	g := h.p.graph.Load()
	out := make([]NodeCount, len(g.nodes))
	for i, c := range g.nodes {
		out[i] = NodeCount{Name: g.prog.Nodes[i].Name, In: c.in.Load(), Out: c.out.Load(), Errors: c.errors.Load()}
	}
	return out
}

// Sinks are the counts of each sink, in the program's order.
func (h *Pipeline) Sinks() []SinkCount {
	g := h.p.graph.Load()
	out := make([]SinkCount, len(g.sinks))
	for i, s := range g.sinks {
		c := s.count
		out[i] = SinkCount{Name: s.name, Delivered: c.delivered.Load(), Errors: c.errors.Load(), Dropped: c.dropped.Load()}
		if s.optional == nil {
			continue
		}
		if why := s.optional.opening.why(); why != nil {
			out[i].NotOpen = why.Message
		}
	}
	return out
}

// Done is closed when the pipeline has ended: its sources are exhausted, it was stopped, or it failed. A pipeline whose components do not
// obey a stop counts as ended too, after a while; messages are then still in flight.
func (h *Pipeline) Done() <-chan struct{} { return h.p.ended }

func (h *Pipeline) hasEnded() bool {
	select {
	case <-h.p.ended:
		h.p.mu.Lock()
		defer h.p.mu.Unlock()
		return !h.p.stuck
	default:
		return false
	}
}

// Err is why the pipeline failed; nil while it runs and after a good end.
func (h *Pipeline) Err() error {
	return h.p.cause()
}

// Resume ends a pause: the messages that caused it are tried again.
func (h *Pipeline) Resume() { h.p.unpause() }

// Stop drains the pipeline: it stops reading, lets what is in flight end, and closes. When ctx is done first, the rest is given up
// and stays at its source, and the error is ErrDeadline. A component that does not end even then is not waited for longer than 5 s: the
// pipeline counts as failed, and its name stays taken until the component ends.
func (h *Pipeline) Stop(ctx context.Context) error {
	h.p.drain(ctx)
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if h.p.overtime {
		return fmt.Errorf("stop %q: %w", h.p.name, ErrDeadline)
	}
	return nil
}

func openError(kind, name string, err error) error {
	return fmt.Errorf("open %s %q: %w", kind, name, err)
}

// unhandled reports a message that waits or is left behind.
func (p *pipeline) unhandled(r *run, k *parked) {
	p.log.Error("message failed and no on_error settles it", "node", k.err.Node, "origin", k.msg.Origin(),
		"class", k.err.Class.String(), "code", string(k.err.Code), "error", k.err.Message)
	if p.engine.opts.Unhandled != nil {
		p.engine.opts.Unhandled(Unhandled{
			Pipeline: p.name, Origin: k.msg.Origin(), Err: k.err, Payload: k.msg.Raw(),
		})
	}
}
