package engine

import (
	"unsafe"

	"github.com/millstream/millstream/flow"
)

// What the records of a batch become may be much more than the batch. It is charged to the pipeline, and once all batches together are
// over in_flight_bytes, nobody computes ahead: a batch waits for its turn, hands over what it has so far, and goes on when that has ended.

// outBytes is about what a message to a sink takes beside its body, with its headers.
const outBytes = int64(unsafe.Sizeof(flow.Outgoing{})) + 512

// chargeSteps is in how many steps at most a batch charges what the limit allows.
const chargeSteps = 16

// record leads one record through the graph. The first message that it becomes is free: that is what in_flight counts.
func (r *run) record(w *worker, i int) {
	before := r.made
	w.record(i)
	r.made = max(before, r.made-outBytes-int64(len(r.batch.Records[i].Body)))
}

// overCharge charges what the batch has become since the last step, and reports whether it is to stop here.
func (r *run) overCharge() bool {
	p := r.p
	if r.made-r.charged < p.mostMade.Load()/chargeSteps || p.breaks(faultAckEarly) {
		return false
	}
	made := p.made.Add(r.made - r.charged)
	r.charged = r.made
	return made > p.mostMade.Load()
}

func (r *run) uncharge() {
	r.p.made.Add(-r.charged)
	r.made, r.charged = 0, 0
}

// part hands over what a batch has become so far and waits until it has ended, but for what processors hold. The batch keeps its turn:
// those behind it wait, and its keys that failed stay held.
func (p *pipeline) part(r *run) {
	p.handOver(r)
	<-r.sent
	<-r.before.confirmed
	l := r.lane
	failed := p.countAnswers(r)
	l.mu.Lock()
	p.takeAnswers(r, failed)
	l.wakeFor(r)
	l.mu.Unlock()
	<-r.queueEmpty()
	l.mu.Lock()
	l.partial = nil
	l.mu.Unlock()
	r.dropOuts()
	r.letters, r.parked, r.buf = nil, nil, nil
	r.sent = make(chan struct{})
	r.waited = 0
	r.uncharge()
}

// wakeFor lets the retriers work on what a batch that keeps its turn has queued; the lane's lock is held.
func (l *lane) wakeFor(r *run) {
	l.partial = r
	for _, q := range l.held {
		if !q.left {
			q.signal()
		}
	}
}

// mayWork reports whether nothing can come any more that belongs before the item; the lane's lock is held.
func (l *lane) mayWork(it *item) bool { return it.run.seq <= l.passed || it.run == l.partial }

// queueEmpty is closed when nothing of the run is queued.
func (r *run) queueEmpty() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	empty := make(chan struct{})
	if r.pending == r.holding {
		close(empty)
	} else {
		r.empty = empty
	}
	return empty
}
