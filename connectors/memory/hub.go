package memory

import (
	"context"
	"slices"
	"sync"
)

// Hub is where the sinks and sources of one process meet.
type Hub struct {
	mu     sync.Mutex
	topics map[string]*topic
}

// NewHub makes a hub without topics.
func NewHub() *Hub { return &Hub{topics: map[string]*topic{}} }

func (h *Hub) topic(name string) *topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.topics[name]
	if !ok {
		t = &topic{name: name, changed: make(chan struct{})}
		h.topics[name] = t
	}
	return t
}

// topic is a name with those who subscribe to it.
type topic struct {
	name string

	mu          sync.Mutex
	subscribers []*subscriber
	changed     chan struct{} // closed when a subscriber comes
	sent        int64
}

// subscriber is one source that runs.
type subscriber struct {
	parts chan *part
	gone  chan struct{} // closed when the source stops taking
}

func (t *topic) subscribe() *subscriber {
	s := &subscriber{parts: make(chan *part), gone: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers = append(t.subscribers, s)
	close(t.changed)
	t.changed = make(chan struct{})
	return s
}

func (t *topic) unsubscribe(s *subscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers = slices.DeleteFunc(t.subscribers, func(x *subscriber) bool { return x == s })
	close(s.gone)
}

// wait returns those who subscribe now, and waits for the first one where there is none.
func (t *topic) wait(ctx context.Context) ([]*subscriber, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		t.mu.Lock()
		all, changed := slices.Clone(t.subscribers), t.changed
		t.mu.Unlock()
		if len(all) > 0 {
			return all, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// number reserves the offsets of n messages.
func (t *topic) number(n int) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.sent
	t.sent += int64(n)
	return first
}
