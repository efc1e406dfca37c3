package kafka

import (
	"context"
	"sync"
)

// exposure counts a partition's records that were pushed and are not committed: exactly those come again after a crash. It holds the
// pushing back at the partition's share of the pipeline's in_flight, so that this limit bounds repeats too and a partition that cannot go
// on leaves room for the others, and it asks for a commit in time.
type exposure struct {
	limit  func() int
	urgent chan struct{} // one slot: a commit is due at once

	mu    sync.Mutex
	n     int
	freed chan struct{} // closed and replaced when something is given back
}

func newExposure(limit func() int, urgent chan struct{}) *exposure {
	return &exposure{limit: limit, urgent: urgent, freed: make(chan struct{})}
}

// take waits until n more records may be pushed. A batch larger than the limit passes alone.
func (e *exposure) take(ctx context.Context, n int) error {
	for {
		limit := e.limit()
		e.mu.Lock()
		if e.n+n <= limit || e.n == 0 {
			e.n += n
			high := e.n > limit/2
			e.mu.Unlock()
			if high {
				e.askForCommit()
			}
			return nil
		}
		freed := e.freed
		e.mu.Unlock()
		e.askForCommit()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *exposure) askForCommit() {
	select {
	case e.urgent <- struct{}{}:
	default:
	}
}

// give takes records off that were committed, or not pushed after all.
func (e *exposure) give(n int) {
	if n == 0 {
		return
	}
	e.mu.Lock()
	e.n -= n
	close(e.freed)
	e.freed = make(chan struct{})
	e.mu.Unlock()
}
