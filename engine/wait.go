package engine

import (
	"time"

	"github.com/millstream/millstream/flow"
)

// Nodes that pace messages wait for each one. Were a batch to leave only as a whole, its first record would wait for the last one, and
// then all would leave at once. So what a batch has so far is handed over before a longer wait; and a record waits only when its lane has
// come to it, so that no later batch uses up what an earlier one is to get.

// mostWaited is how long records may wait before what stands before them in their batch is handed over. Below it a hand-over of its own
// would cost more than it is good for.
const mostWaited = 50 * time.Millisecond

var errWaiting = flow.Errorf(flow.Transient, flow.CodeAbandoned, "given up while waiting: the pipeline stops or the source took the record back")

// wait is what flow.Emitter.Wait does in the engine.
func (w *worker) wait(left func() time.Duration) error {
	p, r := w.p, w.run
	whole, _ := r.owner(w.rec)
	if r.root == nil && !p.turn(whole) {
		return errWaiting
	}
	d, from := left(), time.Now()
	r.waited += d
	if r.waited >= mostWaited && r.whole == nil && r.root == nil && r.hasSome() {
		r.g.replaceWorker()
		p.part(r)
		d -= time.Since(from)
	}
	if !p.sleep(whole.lane, d, nil) {
		return errWaiting
	}
	return nil
}

// turn waits until all batches before r in its lane have been handed over. It returns false when the pipeline gives up first.
func (p *pipeline) turn(r *run) bool {
	select {
	case <-r.before.handed:
		return true
	default:
	}
	r.g.replaceWorker()
	select {
	case <-r.before.handed:
		return true
	case <-r.source.hard.Done():
	case <-r.lane.of.Abandoned():
	}
	return false
}

// replaceWorker puts a worker in the place of one that waits for others, who may need it; the one that is then too many goes when it is
// given back.
func (g *graph) replaceWorker() {
	select {
	case g.workers <- nil:
	default:
	}
}

// hasSome tells whether the run has something to hand over.
func (r *run) hasSome() bool {
	for sink := range r.outs {
		if len(r.outs[sink]) > 0 || len(r.offers[sink]) > 0 {
			return true
		}
	}
	return len(r.parked) > 0
}

// overdue tells that records computed side by side have waited for so long that what there is of them is to be handed over.
func (r *run) overdue() bool { return r.waited >= mostWaited }
