package http

import (
	nethttp "net/http"
	"sync/atomic"

	"github.com/millstream/millstream/flow"
)

// request is a request from when it is taken in until its message is settled.
type request struct {
	slot   int
	charge int64 // what it takes of the source's memory
	record flow.Record
	state  atomic.Int32
	answer chan answer // room for the one answer
	method string
	query  string
	remote string
}

// The states of a request. Either the source takes it or its client gives it up, whichever comes first; who does lets go of its slot and
// its memory in the end.
const (
	waiting int32 = iota
	taken
	givenUp
)

// answer is what a client is told.
type answer struct {
	status  int
	code    flow.Code
	message string
	// again: the source has ended without looking at the request, and has let go of it; another one may take it.
	again bool
}

func (a answer) ok() bool { return a.status == nethttp.StatusOK }

// pending are the requests of a source. A record finds its request by Tag, the request's slot.
type pending struct {
	free  chan int
	slots []atomic.Pointer[request]
}

func newPending(n int) *pending {
	p := &pending{free: make(chan int, n), slots: make([]atomic.Pointer[request], n)}
	for i := range n {
		p.free <- i
	}
	return p
}

// enter gives a request a slot; false when all are taken.
func (p *pending) enter(r *request) bool {
	select {
	case slot := <-p.free:
		r.slot, r.record.Tag = slot, uint64(slot)
		p.slots[slot].Store(r)
		return true
	default:
		return false
	}
}

// leave gives the slot back; nobody looks at the request by its slot after that.
func (p *pending) leave(r *request) {
	p.slots[r.slot].Store(nil)
	p.free <- r.slot
}

func (p *pending) of(r *flow.Record) *request {
	if r.Tag >= uint64(len(p.slots)) {
		return nil
	}
	return p.slots[r.Tag].Load()
}

// extra are the entries of source that this connector has.
func (p *pending) extra(r *flow.Record) map[string]any {
	q := p.of(r)
	if q == nil {
		return nil
	}
	return map[string]any{"path": r.Topic, "method": q.method, "query": q.query, "remote": q.remote}
}
