package engine

import (
	"context"
	"sync"

	"github.com/millstream/millstream/flow"
)

// hold takes a message out of its run for a processor that keeps it.
func (w *worker) hold(m *flow.Message) *flow.Held {
	r, rec, node, p := w.run, w.rec, w.node, w.p
	c := m.Clone()
	c.Own()
	if w.parent != nil {
		r, rec = w.parent, w.parentRec
	}
	h := heldRecord{id: p.holdIDs.Add(1), rec: rec}
	r.addHold(h)
	var once sync.Once
	return &flow.Held{Message: c, Resume: func(ctx context.Context, out []flow.Emitted, end flow.End, err error) {
		once.Do(func() {
			if !r.takeHold(h) {
				return
			}
			e, left := p.resume(ctx, r, rec, node, c, out, end, err)
			r.end(rec, e, left)
		})
	}}
}

// resume leads a held message on from its node and brings all that it becomes to an end.
func (p *pipeline) resume(ctx context.Context, r *run, rec int32, node int, m *flow.Message, out []flow.Emitted, end flow.End,
	err error,
) (flow.End, bool) {
	if ctx.Err() != nil {
		return flow.Open, true
	}
	sub := r.subRun()
	n := &p.prog.Nodes[node]
	p.withWorker(sub, r, rec, func(w *worker) {
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
