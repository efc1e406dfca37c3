package kafka

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// try is one attempt at a transaction: the batches that are on their way in it.
type try struct {
	mu      sync.Mutex
	limit   time.Duration // how long it may take
	open    int
	records int           // that were read
	ended   int           // of them
	first   string        // where the first one is
	began   time.Time     // with the first one
	took    time.Duration // until no batch was under way
	timer   *time.Timer   // spoils a transaction that takes too long; nil before the first record
	left    bool          // a record came back unsettled, or was read and not handed over
	idle    chan struct{} // closed when open is 0; nil while nobody waits
	spoiled chan struct{}
	why     error // why it is spoiled
}

func newTry(limit time.Duration) *try { return &try{limit: limit, spoiled: make(chan struct{})} }

// spoil makes the transaction end without a commit. The first reason is kept.
func (y *try) spoil(why error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.why == nil {
		y.why = why
		close(y.spoiled)
	}
}

func (y *try) isSpoiled() bool {
	select {
	case <-y.spoiled:
		return true
	default:
		return false
	}
}

// reason says why the transaction was not committed.
func (y *try) reason() error {
	y.mu.Lock()
	defer y.mu.Unlock()
	switch {
	case y.why != nil:
		return y.why
	case y.left || y.open > 0:
		return errLeft
	}
	return errNotCommitted
}

var (
	errLeft         = errors.New("some of its records have not ended")
	errNotCommitted = errors.New("the brokers did not commit it")
)

// handed counts a batch that is handed over; the first one sets the limit.
func (y *try) handed(b *flow.Batch) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.open++
	y.records += len(b.Records)
	if y.timer == nil {
		y.first = fmt.Sprintf("%s@%d", b.Lane.Name, b.Records[0].Offset)
		y.began = time.Now()
		y.timer = time.AfterFunc(y.limit, func() { y.spoil(fmt.Errorf("%w, %s", errLate, y.limit)) })
	}
}

// read is how many records have been handed over.
func (y *try) read() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.records
}

// over ends the limit, and tells whether the transaction had records.
func (y *try) over() (records bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.timer != nil {
		y.timer.Stop()
	}
	return y.records > 0
}

// back counts a batch as come back, with what of it is settled.
func (y *try) back(b *flow.Batch) {
	ended := 0
	for i := range b.Records {
		if b.Records[i].Settled() {
			ended++
		}
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.ended += ended
	y.left = y.left || ended < len(b.Records)
	if y.open--; y.open > 0 {
		return
	}
	y.took = time.Since(y.began)
	if y.idle != nil {
		close(y.idle)
		y.idle = nil
	}
}

// allBack gives a channel that is closed once no batch is under way.
func (y *try) allBack() <-chan struct{} {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.idle == nil {
		y.idle = make(chan struct{})
		if y.open == 0 {
			idle := y.idle
			y.idle = nil
			close(idle)
			return idle
		}
	}
	return y.idle
}

// whole tells that the transaction may be committed.
func (y *try) whole() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.open == 0 && !y.left && y.why == nil
}

// teach lets the next transaction know how this one has come out.
func (y *try) teach(a *allowance, committed bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	switch {
	case committed:
		a.committed(y.records, y.took)
	case errors.Is(y.why, errLate):
		a.late(y.ended)
	}
}

// stuck tells whether one record alone took too long, and where it is.
func (y *try) stuck() (where string, ok bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.first, y.records == 1 && errors.Is(y.why, errLate)
}
