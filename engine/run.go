package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/flow"
)

// run is one batch on its way through the pipeline, or one message that is tried again (a sub-run: a batch of nothing with one end).
type run struct {
	p      *pipeline
	g      *graph // the revision it is led through
	source *sourceRun
	in     *graphSource
	lane   *lane
	batch  *flow.Batch
	seq    uint64
	bytes  int64

	// root and rootRec are the batch's run and the record that a sub-run belongs to; nil in the batch's own run.
	root    *run
	rootRec int32
	spare   bool // it must not wait for a worker
	// whole is the run that this is a share of: some of its records, computed beside the others; else nil.
	whole *run

	// ends is the worst end of each record so far; left marks the records that go back to the source. Both belong to the goroutine
	// that works on the run, the handler's; what others end is in late until then.
	ends []flow.End
	left []bool
	// outs are what each sink is to get, in order; store keeps them together in memory.
	outs [][]*flow.Outgoing
	// offers are what optional sinks are to get: nobody waits for it. lost are the records that one of them could not take.
	offers  [][]*flow.Outgoing
	lost    []int32 // under mu
	store   []flow.Outgoing
	letters map[*flow.Outgoing]*letter
	parked  []parked
	places  int32 // how many outs and parked messages there are so far
	buf     []byte

	// made is how many bytes the records have become so far, charged what of it is charged to the pipeline.
	made, charged int64

	// waited is how long nodes have held the records since something was handed over last.
	waited time.Duration

	// The turnstiles: a run waits for those of the run before it in its lane, and closes its own.
	before, self turns
	sending      atomic.Int32
	sent         chan struct{} // closed when every sink has answered the hand-over

	mu       sync.Mutex
	refused  map[int32]*flow.Error // records that are given back to who waits for an answer, and why
	holds    []heldRecord
	late     []lateEnd
	pending  int           // queued items and held messages that have not ended
	holding  int           // the held ones of them
	open     map[int32]int // of an eager source: how many of them each record has, and those that stay at the source
	empty    chan struct{} // closed when nothing is queued; nil while nobody waits for it
	done     chan struct{} // closed when confirmed and pending is 0
	passed   bool          // the second turnstile is behind it
	over     bool          // done is closed
	released bool          // held messages have been let go
}

// turns are the two turnstiles of a run, closed when it has passed them.
type turns struct{ handed, confirmed chan struct{} }

func newTurns() turns { return turns{make(chan struct{}), make(chan struct{})} }

// lateEnd is what became of a queued or held message.
type lateEnd struct {
	rec  int32
	end  flow.End
	left bool
}

// outBlock is how many messages the first block of a store has room for at most, maxOutBlock the largest one, and the most that is kept.
const (
	outBlock    = 256
	maxOutBlock = 4096
)

func (r *run) reset(g *graph, src *sourceRun, b *flow.Batch, bytes int64) {
	n := len(b.Records)
	r.p, r.g, r.source, r.in, r.batch, r.bytes = g.p, g, src, g.sources[src.name], b, bytes
	r.ends = grow(r.ends, n)
	r.left = grow(r.left, n)
	if len(r.outs) != len(g.sinks) {
		r.outs, r.offers = make([][]*flow.Outgoing, len(g.sinks)), make([][]*flow.Outgoing, len(g.sinks))
	}
	r.sent, r.done = make(chan struct{}), make(chan struct{})
	r.self = newTurns()
}

// clear drops all references, so that a pooled run keeps nothing alive. A processor may still call a Held of this run; it finds
// nothing.
func (r *run) clear() {
	r.dropOuts()
	r.letters, r.parked, r.places, r.waited = nil, nil, 0, 0
	if cap(r.buf) > 1<<20 {
		r.buf = nil
	}
	r.buf = r.buf[:0]
	r.batch, r.g, r.source, r.in, r.lane, r.before, r.self = nil, nil, nil, nil, nil, turns{}, turns{}
	r.mu.Lock()
	r.holds, r.late, r.lost, r.refused, r.open = nil, nil, nil, nil, nil
	r.pending, r.holding, r.empty, r.passed, r.over, r.released = 0, 0, nil, false, false, false
	r.mu.Unlock()
}

// dropOuts forgets what was sent. The handler does it, on the core that has written it.
func (r *run) dropOuts() {
	for _, lists := range [...][][]*flow.Outgoing{r.outs, r.offers} {
		for i := range lists {
			clear(lists[i])
			if cap(lists[i]) > maxOutBlock {
				lists[i] = nil
			}
			lists[i] = lists[i][:0]
		}
	}
	clear(r.store)
	r.store = r.store[:0]
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// subRun makes a run for one message of a record that is tried again or goes on after a hold.
func (r *run) subRun(rec int32) *run {
	s := &run{p: r.p, g: r.g, source: r.source, in: r.in, lane: r.lane, batch: r.batch, root: r, rootRec: rec}
	if r.root != nil {
		s.root, s.rootRec, s.spare = r.root, r.rootRec, r.spare
	}
	s.ends, s.left = make([]flow.End, 1), make([]bool, 1)
	s.outs, s.offers = make([][]*flow.Outgoing, len(r.g.sinks)), make([][]*flow.Outgoing, len(r.g.sinks))
	return s
}

// owner is the batch's run and the record in it that a record of r belongs to.
func (r *run) owner(rec int32) (*run, int32) {
	switch {
	case r.whole != nil:
		return r.whole, rec
	case r.root != nil:
		return r.root, r.rootRec
	}
	return r, rec
}

// small tells that r is for few records: it asks for little memory at a time.
func (r *run) small() bool { return r.root != nil || r.whole != nil }

// ended notes that a branch of a record ended. Only the goroutine that works on the run may call it.
func (r *run) ended(rec int32, end flow.End) {
	if r.ends[rec] < end {
		r.ends[rec] = end
	}
}

// missed notes that an optional sink could not take a message of the record.
func (r *run) missed(rec int32) {
	r, rec = r.owner(rec)
	r.mu.Lock()
	r.lost = append(r.lost, rec)
	r.mu.Unlock()
}

// refuse notes that a record goes back to its source for good; of several reasons the first one counts.
func (r *run) refuse(rec int32, why *flow.Error) {
	r, rec = r.owner(rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.refused = map[int32]*flow.Error{}
	}
	if r.refused[rec] == nil {
		r.refused[rec] = why
	}
}

// newOut gives room for one more message to a sink. Blocks are never moved: the pointers stay good.
func (r *run) newOut() *flow.Outgoing {
	if len(r.store) == cap(r.store) {
		n := min(max(min(outBlock, len(r.batch.Records)+3), 2*cap(r.store)), maxOutBlock) // a pipeline with little to do keeps little
		if r.small() {
			n = 4
		}
		r.store = make([]flow.Outgoing, 0, n)
	}
	r.made += outBytes
	r.store = r.store[:len(r.store)+1]
	return &r.store[len(r.store)-1]
}

// place gives the next place in the order of all that the run sends.
func (r *run) place() int32 {
	r.places++
	return r.places
}

func (r *run) markLetter(o *flow.Outgoing, lt *letter) {
	if r.letters == nil {
		r.letters = map[*flow.Outgoing]*letter{}
	}
	r.letters[o] = lt
}

// room returns a buffer to append about n bytes to. What was written before stays where it is.
func (r *run) room(n int) []byte {
	if cap(r.buf)-len(r.buf) < n {
		if !r.small() {
			// Many small batches may be under way: each gets what it is likely to need.
			n = max(n, min(bufferChunk, max(n*len(r.batch.Records), 2*cap(r.buf))))
		}
		r.buf = make([]byte, 0, n)
	}
	return r.buf
}

const bufferChunk = 128 << 10

// add counts one more item of a record that must end before the run is done.
func (r *run) add(rec int32) {
	r.mu.Lock()
	r.addLocked(rec)
	r.mu.Unlock()
}

func (r *run) addLocked(rec int32) {
	r.pending++
	if r.source.eager == nil {
		return
	}
	if r.open == nil {
		r.open = map[int32]int{}
	}
	r.open[rec]++
}

// end takes the result of an item: the worst end of its branches, or left when the record stays at its source.
func (r *run) end(rec int32, end flow.End, left bool) {
	r.mu.Lock()
	r.late = append(r.late, lateEnd{rec, end, left})
	r.pending--
	if !left && r.open != nil {
		r.open[rec]--
		if r.passed && r.pending > 0 {
			r.tell(rec)
		}
	}
	r.finishLocked()
	r.mu.Unlock()
}

// pass notes that the second turnstile is behind the run.
func (r *run) pass() {
	r.mu.Lock()
	r.passed = true
	if r.open != nil && r.pending > 0 {
		for rec := range r.batch.Records {
			r.tell(int32(rec)) // a batch holds MaxBatchRecords at most
		}
	}
	r.finishLocked()
	r.mu.Unlock()
}

// tell tells an eager source of a record that has ended on all its branches; the lock is held. The handler has passed the second turnstile,
// so nobody writes into left.
func (r *run) tell(rec int32) {
	if r.open[rec] == 0 && !r.left[rec] {
		r.source.tell(r.batch, rec, r.refused[rec])
	}
}

func (r *run) finishLocked() {
	if r.empty != nil && r.pending == r.holding {
		close(r.empty)
		r.empty = nil
	}
	if r.passed && r.pending == 0 && !r.over {
		r.over = true
		close(r.done)
	}
}

// merge takes in what others have ended, once the run is done, and reports whether a record is left.
func (r *run) merge() (left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.late {
		r.ended(e.rec, e.end)
		r.left[e.rec] = r.left[e.rec] || e.left
	}
	for _, rec := range r.lost {
		if r.ends[rec] <= flow.Filtered {
			r.ended(rec, flow.Dropped) // no sink has got it
		}
	}
	for rec := range r.refused {
		r.left[rec] = true
	}
	for _, l := range r.left {
		left = left || l
	}
	return left
}

// leaveAll gives the whole batch back.
func (r *run) leaveAll() {
	for i := range r.left {
		r.left[i] = true
	}
}
