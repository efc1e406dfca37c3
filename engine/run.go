package engine

import (
	"sync"
	"sync/atomic"

	"github.com/millstream/millstream/flow"
)

// run is one batch on its way through the pipeline, or one message that is tried again (a sub-run: a batch of nothing with one end).
type run struct {
	p      *pipeline
	source *sourceRun
	lane   *lane
	batch  *flow.Batch
	seq    uint64
	bytes  int64

	// ends is the worst end of each record so far; left marks the records that go back to the source.
	ends []flow.End
	left []bool
	// outs are what each sink is to get, in order; store keeps them together in memory.
	outs   [][]*flow.Outgoing
	store  []flow.Outgoing
	letter map[*flow.Outgoing]*flow.Error
	parked []parked
	places int32 // how many outs and parked messages there are so far
	buf    []byte

	// The turnstiles: a run waits for those of the run before it in its lane, and closes its own.
	before, self turns
	sending      atomic.Int32
	sent         chan struct{} // closed when every sink has answered the hand-over

	mu      sync.Mutex
	holds   []heldRecord
	pending int           // queued items and held messages that have not ended
	done    chan struct{} // closed when confirmed and pending is 0
	passed  bool          // the second turnstile is behind it
	over    bool          // done is closed
	handled bool          // the handler has come to its end
}

// turns are the two turnstiles of a run, closed when it has passed them.
type turns struct{ handed, confirmed chan struct{} }

func newTurns() turns { return turns{make(chan struct{}), make(chan struct{})} }

const outBlock = 256

func (r *run) reset(p *pipeline, src *sourceRun, b *flow.Batch) {
	n := len(b.Records)
	r.p, r.source, r.batch, r.bytes = p, src, b, b.Bytes()
	r.ends = grow(r.ends, n)
	r.left = grow(r.left, n)
	if r.outs == nil {
		r.outs = make([][]*flow.Outgoing, len(p.prog.Sinks))
	}
	r.sent, r.done = make(chan struct{}), make(chan struct{})
	r.self = newTurns()
	r.pending, r.passed, r.over, r.handled = 0, false, false, false
}

// clear drops all references, so that a pooled run keeps nothing alive.
func (r *run) clear() {
	for i := range r.outs {
		clear(r.outs[i])
		r.outs[i] = r.outs[i][:0]
	}
	clear(r.store)
	r.store = r.store[:0]
	r.letter, r.parked, r.places = nil, nil, 0
	if cap(r.buf) > 1<<20 {
		r.buf = nil
	}
	r.buf = r.buf[:0]
	r.batch, r.source, r.lane, r.before, r.self, r.holds = nil, nil, nil, turns{}, turns{}, nil
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// subRun makes a run for one message that is tried again.
func (r *run) subRun() *run {
	s := &run{p: r.p, source: r.source, lane: r.lane, batch: r.batch, ends: make([]flow.End, 1), left: make([]bool, 1)}
	s.outs = make([][]*flow.Outgoing, len(r.p.prog.Sinks))
	return s
}

// ended notes that a branch of a record ended.
func (r *run) ended(rec int32, end flow.End) {
	if r.ends[rec] < end {
		r.ends[rec] = end
	}
}

// newOut gives room for one more message to a sink. Blocks are never moved: the pointers stay good.
func (r *run) newOut(sink int) *flow.Outgoing {
	if len(r.store) == cap(r.store) {
		r.store = make([]flow.Outgoing, 0, max(outBlock, 2*cap(r.store)))
	}
	r.store = r.store[:len(r.store)+1]
	o := &r.store[len(r.store)-1]
	o.Order = r.place()
	r.outs[sink] = append(r.outs[sink], o)
	return o
}

// place gives the next place in the order of all that the run sends.
func (r *run) place() int32 {
	r.places++
	return r.places
}

// dropOut takes the last newOut of the sink back.
func (r *run) dropOut(sink int) {
	l := r.outs[sink]
	delete(r.letter, l[len(l)-1])
	r.outs[sink] = l[:len(l)-1]
}

func (r *run) markLetter(o *flow.Outgoing, e *flow.Error) {
	if r.letter == nil {
		r.letter = map[*flow.Outgoing]*flow.Error{}
	}
	r.letter[o] = e
}

// room returns a buffer to append about n bytes to. What was written before stays where it is.
func (r *run) room(n int) []byte {
	if cap(r.buf)-len(r.buf) < n {
		r.buf = make([]byte, 0, max(bufferChunk, n))
	}
	return r.buf
}

const bufferChunk = 128 << 10

// add counts one more item that must end before the run is done.
func (r *run) add() {
	r.mu.Lock()
	r.pending++
	r.mu.Unlock()
}

// end takes the result of an item: the worst end of its branches, or left when the record stays at its source.
func (r *run) end(rec int32, end flow.End, left bool) {
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		return
	}
	r.ended(rec, end)
	if left {
		r.left[rec] = true
	}
	r.pending--
	r.finishLocked()
	r.mu.Unlock()
}

// pass notes that the second turnstile is behind the run.
func (r *run) pass() {
	r.mu.Lock()
	r.passed = true
	r.finishLocked()
	r.mu.Unlock()
}

func (r *run) finishLocked() {
	if r.passed && r.pending == 0 && !r.over {
		r.over = true
		close(r.done)
	}
}

// heldRecord is a message that a processor keeps. The id tells holds of different batches apart: runs are used again.
type heldRecord struct {
	id  uint64
	rec int32
}

// addHold counts a message that a processor keeps.
func (r *run) addHold(h heldRecord) {
	r.mu.Lock()
	r.pending++
	r.holds = append(r.holds, h)
	r.mu.Unlock()
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

// releaseHolds lets go of all held messages: the pipeline stops at once, and their records go back to the source.
func (r *run) releaseHolds() {
	r.mu.Lock()
	for _, h := range r.holds {
		r.left[h.rec] = true
		r.pending--
	}
	r.holds = nil
	r.finishLocked()
	r.mu.Unlock()
}
