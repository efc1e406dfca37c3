package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/millstream/millstream/flow"
)

// budget counts the records and bytes in flight of one pipeline, and holds the sources back when the limits are reached. Claims are
// served in the order they came, so that a large batch is not overtaken for ever by small ones.
type budget struct {
	limits flow.Limits
	lax    bool // for tests alone

	mu      sync.Mutex
	records int
	bytes   int64
	waiting []*claim
}

type claim struct {
	records int
	bytes   int64
	granted chan struct{}
}

// resize takes over other limits, for what is taken from now on.
func (b *budget) resize(l flow.Limits) {
	b.mu.Lock()
	b.limits = l
	b.grant()
	b.mu.Unlock()
}

func newBudget(l flow.Limits) *budget { return &budget{limits: l} }

// take waits until n records of that many bytes fit. A batch larger than the whole budget passes alone.
func (b *budget) take(ctx context.Context, n int, bytes int64) error {
	b.mu.Lock()
	c := &claim{records: n, bytes: bytes}
	if len(b.waiting) == 0 && b.fits(c) {
		b.enter(c)
		b.mu.Unlock()
		return nil
	}
	c.granted = make(chan struct{})
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.grant()
		return ctx.Err()
	}
	return nil // it was granted meanwhile
}

func (b *budget) give(n int, bytes int64) {
	b.mu.Lock()
	b.records -= n
	b.bytes -= bytes
	b.grant()
	b.mu.Unlock()
}

// grant serves those who wait, as far as they fit; the lock is held.
func (b *budget) grant() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0]) {
		b.enter(b.waiting[0])
		close(b.waiting[0].granted)
		b.waiting = slices.Delete(b.waiting, 0, 1)
	}
}

func (b *budget) fits(c *claim) bool {
	return b.lax || b.records == 0 || b.records+c.records <= b.limits.InFlight && b.bytes+c.bytes <= b.limits.InFlightBytes
}

func (b *budget) enter(c *claim) {
	b.records += c.records
	b.bytes += c.bytes
}
