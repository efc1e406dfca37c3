package http

import (
	"context"
	nethttp "net/http"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// request is a request from when it is taken in until its message is settled.
type request struct {
	record flow.Record
	charge int64 // what it takes of the source's memory
	place  int   // among the source's open requests
	ctx    context.Context
	late   time.Time // when its client is told to come again
	state  state
	answer chan answer // gets one answer for each time the request is taken in
}

// state is where a request is between its client and the source. The source's lock guards it.
type state uint8

const (
	waiting state = iota // in the queue
	taken                // in a batch
	givenUp              // its client has been answered, or is gone; what the batch brings when it comes back is nobody's
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

// answers are channels for one answer each that are empty and known to nobody.
type answers struct{ pool sync.Pool }

func (a *answers) get() chan answer {
	if c, ok := a.pool.Get().(chan answer); ok {
		return c
	}
	return make(chan answer, 1)
}

// put takes one back after its last answer has been received.
func (a *answers) put(c chan answer) { a.pool.Put(c) }

// sweepEvery is how often a source looks for requests whose time is up or whose clients are gone. It is one look for all of them, which is much
// cheaper than a timer each.
const sweepEvery = 50 * time.Millisecond

// open puts a request among those that are not settled; false when they are as many as may be. The lock is held.
func (c *source) open(q *request) bool {
	if len(c.unsettled) >= c.most {
		return false
	}
	q.state, q.place = waiting, len(c.unsettled)
	c.unsettled = append(c.unsettled, q)
	if !c.sweeping {
		c.sweeping = true
		c.sweeper.Reset(sweepEvery)
	}
	return true
}

// forget lets go of a request's place and memory; the lock is held.
func (c *source) forget(q *request) {
	last := len(c.unsettled) - 1
	c.unsettled[q.place] = c.unsettled[last]
	c.unsettled[q.place].place = q.place
	c.unsettled[last] = nil
	c.unsettled = c.unsettled[:last]
	c.memory.give(q.charge)
}

// sweep answers requests that have waited too long. Those in a batch keep their place and memory until they are settled.
func (c *source) sweep() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	queued := false
	for i := len(c.unsettled) - 1; i >= 0; i-- { // forget puts the last one in the place of the one it takes out
		q := c.unsettled[i]
		if q.state == givenUp || now.Before(q.late) && q.ctx.Err() == nil {
			continue
		}
		if q.state == waiting {
			queued = true
			c.forget(q)
		}
		q.state = givenUp
		q.answer <- answer{status: nethttp.StatusServiceUnavailable, code: flow.CodeUnavailable, message: "not settled in time; it may be later"}
	}
	if queued {
		c.queue = deleteGivenUp(c.queue)
	}
	if c.sweeping = len(c.unsettled) > 0; c.sweeping {
		c.sweeper.Reset(sweepEvery)
	}
}

func deleteGivenUp(all []*request) []*request {
	left := all[:0]
	for _, q := range all {
		if q.state != givenUp {
			left = append(left, q)
		}
	}
	clear(all[len(left):])
	return left
}
