package faults

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Inlet is where a pipeline reads, and where a scenario puts messages.
type Inlet interface {
	// Source is what stands behind `from:` in the pipeline.
	Source() string
	// Feed adds messages, in order; keys holds the key of each. What it returns without an error for is the source's. It tries again for as
	// long as the context lasts while whoever takes them is away.
	Feed(ctx context.Context, payloads [][]byte, keys []string) error
	Close()
}

// Outlet is where a pipeline writes, and where a scenario looks what came.
type Outlet interface {
	// Sink is what stands behind `to:` in the pipeline.
	Sink() string
	// Collect begins to take what comes. Until then, Seen only counts it.
	Collect() error
	// Seen is how much has come so far, copies among it, and when the last of it was noticed.
	Seen() (int, time.Time)
	// Arrivals is what was collected so far, without the first from, in the order of the sink.
	Arrivals(from int) []Arrival
	Close()
}

// Arrival is a message that came.
type Arrival struct {
	Payload []byte
	At      time.Time
}

// arrived collects what comes; its methods may be called by several goroutines.
type arrived struct {
	mu   sync.Mutex
	all  []Arrival
	last time.Time
}

func (a *arrived) add(payload []byte, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all, a.last = append(a.all, Arrival{Payload: payload, At: at}), time.Now()
}

// Seen implements Outlet.
func (a *arrived) Seen() (int, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all), a.last
}

// Arrivals implements Outlet.
func (a *arrived) Arrivals(from int) []Arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all[from:])
}

// poll calls look until ctx ends, with a pause of 5 ms.
func poll(ctx context.Context, look func()) {
	for ctx.Err() == nil {
		look()
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}
