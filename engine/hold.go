package engine

import (
	"context"
	"sync"

	"github.com/millstream/millstream/flow"
)

// heldRecord is a message that a processor keeps. The id tells holds of different batches apart: runs are used again.
type heldRecord struct {
	id  uint64
	rec int32
}

// hold takes a message out of its run for a processor that keeps it.
func (w *worker) hold(m *flow.Message) *flow.Held {
	node, p := w.node, w.p
	r, rec := w.run.owner(w.rec)
	c := m.Clone()
	c.Own()
	h := heldRecord{id: p.holdIDs.Add(1), rec: rec}
	r.addHold(h)
	w.holds = append(w.holds, h)
	var once sync.Once
	return &flow.Held{Message: c, Resume: func(ctx context.Context, out []flow.Emitted, end flow.End, err error) {
		once.Do(func() {
			if !r.takeHold(h) {
				return
			}
			e, left := p.resume(ctx, r, rec, node, c, out, end, err)
			r.endHold(rec, e, left)
		})
	}}
}

// undoHolds takes back what a processor held before it failed.
func (w *worker) undoHolds() {
	r, _ := w.run.owner(w.rec)
	for _, h := range w.holds {
		if r.takeHold(h) {
			r.endHold(h.rec, flow.Open, false)
		}
	}
}

// resume leads a held message on from its node and brings all that it becomes to an end.
func (p *pipeline) resume(ctx context.Context, r *run, rec int32, node int, m *flow.Message, out []flow.Emitted, end flow.End,
	err error,
) (flow.End, bool) {
	if ctx.Err() != nil {
		return flow.Open, true
	}
	sub := r.subRun(rec)
	n := &r.g.prog.Nodes[node]
	if err == nil {
		err = checkPorts(n, out)
	}
	r.g.withSpareWorker(sub, func(w *worker) {
		switch {
		case err != nil:
			w.fail(node, m, err, 0)
		case len(out) == 0:
			sub.ended(0, endOf(end))
		default:
			for _, e := range out {
				w.follow(n.Ports[e.Port], e.Message, 1)
			}
		}
	})
	return p.bringRun(r.lane, sub)
}

// addHold counts a message that a processor keeps. When the run has let go of its held messages already, the record is left at once.
func (r *run) addHold(h heldRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.released {
		r.late = append(r.late, lateEnd{h.rec, flow.Open, true})
		return
	}
	r.addLocked(h.rec)
	r.holding++
	r.holds = append(r.holds, h)
}

// endHold takes the result of a held message.
func (r *run) endHold(rec int32, end flow.End, left bool) {
	r.mu.Lock()
	r.holding--
	r.mu.Unlock()
	r.end(rec, end, left)
}

// takeHold claims a held message for its resumption; false when the run has let go of it.
func (r *run) takeHold(h heldRecord) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.holds {
		if r.holds[i] == h {
			r.holds = append(r.holds[:i], r.holds[i+1:]...)
			return true
		}
	}
	return false
}

// releaseHolds lets go of all held messages: nothing more may be sent, and their records go back to the source.
func (r *run) releaseHolds() {
	r.mu.Lock()
	r.released = true
	for _, h := range r.holds {
		r.late = append(r.late, lateEnd{h.rec, flow.Open, true})
		r.pending--
		r.holding--
	}
	r.holds = nil
	r.finishLocked()
	r.mu.Unlock()
}
