package engine

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// A node that waits for somebody outside would make the records of a batch wait for each other. Where there is one, several records of a
// batch go through the graph side by side, each in a share of the run; what they became is then put in the order of the batch, and from
// there on nothing is different.

// widest is how many records of a batch a program computes side by side.
func widest(prog *pipelines.Program) int {
	n := 1
	for i := range prog.Nodes {
		if w, ok := prog.Nodes[i].Processor.(flow.Waiter); ok {
			n = max(n, w.Concurrency())
		}
	}
	return n
}

// aside is the work on a batch whose records are computed side by side.
type aside struct {
	whole *run
	next  atomic.Int64 // the first record that nobody has taken
	stop  atomic.Bool  // take no more: the batch has become too much, or the engine panicked

	mu       sync.Mutex // guards what is charged to whole
	panicked []any      // what the engine panicked with
}

// computeAside is compute with up to n records at a time. It waits for all it has begun, so that what lies before next is complete.
func (p *pipeline) computeAside(r *run, from, n int) (next int) {
	a := &aside{whole: r}
	a.next.Store(int64(from))
	shares := make([]*run, min(n, len(r.batch.Records)-from))
	var wg sync.WaitGroup
	for i := range shares {
		shares[i] = r.share()
		wg.Go(func() { a.work(shares[i]) })
	}
	wg.Wait()
	if a.panicked != nil {
		return p.computePanicked(r, a.panicked[0])
	}
	r.join(shares)
	return min(int(a.next.Load()), len(r.batch.Records))
}

// work leads one record after another through the graph, as long as there are some.
func (a *aside) work(share *run) {
	w := newWorker(share.g)
	w.begin(share)
	defer share.g.fold(w.counts)
	defer func() {
		if x := recover(); x != nil {
			a.stop.Store(true)
			a.mu.Lock()
			a.panicked = append(a.panicked, fmt.Sprintf("%v\n%s", x, debug.Stack()))
			a.mu.Unlock()
		}
	}()
	for !a.stop.Load() {
		i := int(a.next.Add(1)) - 1
		if i >= len(share.batch.Records) {
			a.next.Add(-1)
			return
		}
		share.record(w, i)
		a.charge(share)
	}
}

// charge passes on what the share has become, and ends the taking of records when that is too much.
func (a *aside) charge(share *run) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.whole.made += share.made
	a.whole.waited += share.waited
	share.made, share.waited = 0, 0
	if a.whole.overCharge() || a.whole.overdue() {
		a.stop.Store(true)
	}
}

// share is a run for some of the records of r. Their ends are written where those of r are: no two shares have the same record.
func (r *run) share() *run {
	s := &run{p: r.p, g: r.g, source: r.source, in: r.in, lane: r.lane, batch: r.batch, whole: r, ends: r.ends, left: r.left}
	s.outs, s.offers = make([][]*flow.Outgoing, len(r.outs)), make([][]*flow.Outgoing, len(r.offers))
	return s
}

// became is one thing that a record has become: a message to a sink, or one that is parked.
type became struct {
	rec, order int32
	list       *[]*flow.Outgoing
	out        *flow.Outgoing
	parked     *parked
}

// join takes in what the shares have become, record after record as in the batch.
func (r *run) join(shares []*run) {
	var all []became
	for _, s := range shares {
		for sink := range s.outs {
			for _, o := range s.outs[sink] {
				all = append(all, became{rec: o.Index, order: o.Order, list: &r.outs[sink], out: o})
			}
			for _, o := range s.offers[sink] {
				all = append(all, became{rec: o.Index, order: o.Order, list: &r.offers[sink], out: o})
			}
		}
		for i := range s.parked {
			all = append(all, became{rec: s.parked[i].rec, order: s.parked[i].order, parked: &s.parked[i]})
		}
		for o, lt := range s.letters {
			r.markLetter(o, lt)
		}
	}
	if !r.p.breaks(faultJoinUnordered) {
		slices.SortFunc(all, func(a, b became) int {
			return cmp.Or(cmp.Compare(a.rec, b.rec), cmp.Compare(a.order, b.order))
		})
	}
	for _, b := range all {
		if b.parked != nil {
			b.parked.order = r.place()
			r.parked = append(r.parked, *b.parked)
			continue
		}
		b.out.Order = r.place()
		*b.list = append(*b.list, b.out)
	}
}
