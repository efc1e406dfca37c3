package kafka

import (
	"errors"
	"math"
	"time"
)

// unbounded is the size of transactions that nothing but the interval ends.
const unbounded = math.MaxInt32

// errLate is why a transaction was given up that took too long.
var errLate = errors.New("it was not done in time")

// allowance is how many records a transaction may take, so that it is done in time however slow the work is. It has no bound until a
// transaction takes long.
type allowance struct {
	limit time.Duration // how long a transaction may take
	most  int
}

func newAllowance(limit time.Duration) *allowance { return &allowance{limit: limit, most: unbounded} }

// late learns from a transaction that was given up: so many of its records had ended in time.
func (a *allowance) late(ended int) { a.most = max(1, min(ended, a.most)/2) }

// committed learns from a transaction that was done. It aims at a third of the limit, and at twice as many records at most.
func (a *allowance) committed(records int, took time.Duration) {
	if records == 0 {
		return
	}
	aim := a.limit / 3
	fits := max(1, int(min(float64(records)*float64(aim)/float64(max(took, time.Millisecond)), unbounded)))
	switch {
	case took > aim:
		a.most = min(a.most, fits)
	case records >= a.most:
		a.most = min(2*a.most, fits, unbounded)
	}
}
