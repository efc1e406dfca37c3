package engine

import (
	"context"
	"sync"

	"github.com/millstream/millstream/flow"
)

// budget counts the records and bytes in flight of one pipeline, and holds the sources back when the limits are reached.
type budget struct {
	limits flow.Limits

	mu      sync.Mutex
	records int
	bytes   int64
	closed  bool
	freed   chan struct{} // closed and replaced when something is given back
}

func newBudget(l flow.Limits) *budget { return &budget{limits: l, freed: make(chan struct{})} }

// take waits until n records of that many bytes fit. A batch larger than the whole budget passes alone.
func (b *budget) take(ctx context.Context, n int, bytes int64) error {
	for {
		b.mu.Lock()
		fits := b.records+n <= b.limits.InFlight && b.bytes+bytes <= b.limits.InFlightBytes
		if fits || b.records == 0 {
			b.records += n
			b.bytes += bytes
			b.mu.Unlock()
			return nil
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *budget) give(n int, bytes int64) {
	b.mu.Lock()
	b.records -= n
	b.bytes -= bytes
	close(b.freed)
	b.freed = make(chan struct{})
	b.mu.Unlock()
}
