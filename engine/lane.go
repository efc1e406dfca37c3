package engine

import (
	"sort"
	"sync"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// lane keeps the order of one flow.Lane: who hands over next, and which keys are held by a failure.
type lane struct {
	p      *pipeline
	source *sourceRun
	of     *flow.Lane
	order  pipelines.Order

	mu     sync.Mutex
	seq    uint64 // of the last batch pushed
	last   turns  // of that batch
	handed uint64 // the last batch that passed the first turnstile
	passed uint64 // the last batch that passed the second one
	held   map[holdKey]*queue
	// partial is a batch that keeps its turn while what it has queued is worked on.
	partial *run
}

// holdKey names what a failure holds: a key, the records without a key, or with order: none just the one record.
type holdKey struct {
	key    string
	hasKey bool
	seq    uint64
	rec    int32
}

func newLane(s *sourceRun, of *flow.Lane, order pipelines.Order) *lane {
	first := newTurns()
	close(first.handed)
	close(first.confirmed)
	return &lane{p: s.p, source: s, of: of, order: order, last: first, held: map[holdKey]*queue{}}
}

// enter gives a run its place in the lane's order.
func (l *lane) enter(r *run) {
	l.mu.Lock()
	l.seq++
	r.lane, r.seq, r.before = l, l.seq, l.last
	l.last = r.self
	l.mu.Unlock()
}

func (l *lane) abandoned() bool {
	select {
	case <-l.of.Abandoned():
		return true
	default:
		return false
	}
}

func (l *lane) keyOf(r *run, rec int32) holdKey {
	switch l.order {
	case pipelines.ByKey:
		k := r.batch.Records[rec].Key
		return holdKey{key: string(k), hasKey: k != nil}
	case pipelines.BySource:
		return holdKey{}
	default:
		return holdKey{seq: r.seq, rec: rec}
	}
}

// queue is what waits behind one failure, in the order of the lane. One goroutine works it off.
type queue struct {
	lane *lane
	key  holdKey
	// fence is the last batch that was handed over before the failure was noticed: until it has passed the second turnstile, more
	// items may still belong before those that are here.
	fence uint64
	items []*item
	// disturbed are the sinks (by bit, all beyond 63) where a message of the key was missing, and since the first one of them: what
	// those sinks got of the key after it is sent again.
	disturbed uint64
	since     place
	// over are the sinks that will never get a message of the key, and overSince is the first one of them: what those sinks got of the key after
	// it has ended, but stays in the queue until what the file says of that message is done. When it cannot be, both stay at their source.
	over      uint64
	overSince place
	// left: a message of the key stays at its source. All that comes after it stays there too, so the key is never released.
	left bool
	wake chan struct{} // one slot
}

// item is one message in a queue: an outgoing message to send (again), or a parked one.
type item struct {
	run    *run
	rec    int32
	order  int32 // the place among all that the run sends
	sink   int
	out    *flow.Outgoing
	letter *letter
	parked *parked
	// attempts that failed already; err is the last one's failure.
	attempts int
	err      *flow.Error
	// atOnce: the sink has recovered from what made the item fail; the next attempt needs no pause.
	atOnce bool
	// sent: the sink has confirmed the item; it waits for what is before it.
	sent bool
}

// ready tells that the item's next attempt needs no pause.
func (i *item) ready() bool { return !i.sent && i.out != nil && (i.err == nil || i.atOnce) }

// place is where a message stands in its lane: the batch, and its place among all that the batch sends.
type place struct {
	seq   uint64
	order int32
}

// to is the sink of an outgoing message.
func (i *item) to() *sinkRun { return i.run.g.sinks[i.sink] }

func (i *item) place() place { return place{i.run.seq, i.order} }

func (p place) before(o place) bool {
	if p.seq != o.seq {
		return p.seq < o.seq
	}
	return p.order < o.order
}

// enqueue puts an item behind its key; the lane's lock is held, and the caller is the handler of the item's run. The first item of a
// key starts its retrier. When nothing may be sent any more, the key is left instead.
func (l *lane) enqueue(it *item) {
	k := l.keyOf(it.run, it.rec)
	q := l.held[k]
	switch {
	case q == nil && l.p.giveUpNow(l):
		q = &queue{lane: l, key: k, left: true, disturbed: ^uint64(0), since: it.place()}
		l.held[k] = q
	case q == nil:
		q = &queue{lane: l, key: k, wake: make(chan struct{}, 1)}
		l.held[k] = q
		l.p.retriers.Add(1)
		go q.work()
	}
	if q.left {
		it.run.left[it.rec] = true
		return
	}
	it.run.add(it.rec)
	q.fence = max(q.fence, l.handed)
	if it.out != nil && it.isOver() {
		if q.over == 0 || it.place().before(q.overSince) {
			q.overSince = it.place()
		}
		q.over |= it.to().bit()
	}
	if d := l.p.disturbs(it); d != 0 {
		if q.disturbed == 0 || it.place().before(q.since) {
			q.since = it.place()
		}
		q.disturbed |= d
	}
	at := sort.Search(len(q.items), func(i int) bool { return it.place().before(q.items[i].place()) })
	q.items = append(q.items, nil)
	copy(q.items[at+1:], q.items[at:])
	q.items[at] = it
	q.signal()
}

// disturbs are the sinks whose order the item breaks until it has ended: its own, and those that the readers of its errors lead to. What
// its sink will never get breaks no order there.
func (p *pipeline) disturbs(it *item) uint64 {
	switch {
	case it.out == nil:
		return ^uint64(0)
	case it.err == nil, it.isOver():
		return 0
	case it.letter == nil && len(it.run.g.prog.Sinks[it.sink].Errors) > 0:
		return ^uint64(0)
	}
	return it.to().bit()
}

// isOver tells that the item has failed for good, and that the file says what becomes of it instead: a dead letter, or nothing.
func (i *item) isOver() bool {
	then := i.policy().Then
	return i.err != nil && i.letter == nil && !i.mayRetry() && (then == pipelines.ThenSink || then == pipelines.ThenDrop)
}

// bit stands for the sink in sets of sinks.
func (s *sinkRun) bit() uint64 {
	if s.number > 63 {
		return ^uint64(0)
	}
	return 1 << s.number
}

// mustResend reports whether an item that its sink confirmed has to be sent again, because an earlier message of its key failed
// there; the lane's lock is held. Dead letters are not: a message that became one has released its key.
func (l *lane) mustResend(it *item) bool {
	if len(l.held) == 0 || l.order == pipelines.Unordered || it.letter != nil || l.p.breaks(faultNoResend) {
		return false
	}
	q, ok := l.held[l.keyOf(it.run, it.rec)]
	return ok && q.disturbed&it.to().bit() != 0 && q.since.before(it.place())
}

// mustWait reports whether an item that its sink confirmed may end only after an earlier message of its key, which failed there for good: were the
// earlier one left at its source and this one not, it could be delivered behind this one one day; the lane's lock is held.
func (l *lane) mustWait(it *item) bool {
	if len(l.held) == 0 || l.order == pipelines.Unordered || it.letter != nil {
		return false
	}
	q, ok := l.held[l.keyOf(it.run, it.rec)]
	return ok && q.over&it.to().bit() != 0 && q.overSince.before(it.place())
}

// isHeld reports whether the record's key is held; the lane's lock is held.
func (l *lane) isHeld(r *run, rec int32) bool {
	if len(l.held) == 0 || l.order == pipelines.Unordered || l.p.breaks(faultIgnoreHeld) {
		return false
	}
	_, ok := l.held[l.keyOf(r, rec)]
	return ok
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// confirm notes that a run has passed the second turnstile, and wakes the retriers that waited for it; the lane's lock is held.
func (l *lane) confirm(r *run) {
	l.passed = r.seq
	for _, q := range l.held {
		if !q.left {
			q.signal()
		}
	}
}

// next waits for items that may be worked on now: the first of the queue once its batch has passed the second turnstile. It returns
// nil when the key is released.
func (q *queue) next() []*item {
	for {
		q.lane.mu.Lock()
		if len(q.items) == 0 && (q.lane.passed >= q.fence || q.lane.p.breaks(faultReleaseEarly)) {
			delete(q.lane.held, q.key)
			q.lane.mu.Unlock()
			return nil
		}
		if len(q.items) > 0 && q.lane.mayWork(q.items[0]) {
			n := q.sendable()
			items := append([]*item(nil), q.items[:n]...)
			q.items = append(q.items[:0], q.items[n:]...)
			q.lane.mu.Unlock()
			return items
		}
		q.lane.mu.Unlock()
		<-q.wake
	}
}

// sendable is how many items from the front can be worked on in one go: a run of messages to one sink that need no pause, else one.
func (q *queue) sendable() int {
	first := q.items[0]
	if !first.ready() {
		return 1
	}
	n := 1
	for n < len(q.items) && n < flow.MaxBatchRecords {
		it := q.items[n]
		if !it.ready() || it.to() != first.to() || !q.lane.mayWork(it) {
			break
		}
		n++
	}
	return n
}

// leave gives back to the source all that waits in the queue and all of the key that is still to come, because a message before them
// stays at its source.
func (q *queue) leave() {
	q.lane.mu.Lock()
	defer q.lane.mu.Unlock()
	q.left, q.disturbed, q.since = true, ^uint64(0), place{}
	for _, it := range q.items {
		it.run.end(it.rec, flow.Open, true)
	}
	q.items = nil
}

// putBack returns items to the front of the queue, because an earlier one of them failed.
func (q *queue) putBack(items []*item) {
	if len(items) == 0 {
		return
	}
	q.lane.mu.Lock()
	q.items = append(items, q.items...)
	q.lane.mu.Unlock()
	q.signal()
}
