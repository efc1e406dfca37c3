package memory

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
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
	// left is what the last subscriber took and did not push before it stopped; the next one begins with it.
	left []share
	told time.Time // when the log was told last that nobody subscribes
}

// subscriber is one source that runs.
type subscriber struct {
	parts chan *part
	gone  chan struct{} // closed when the source stops taking
	// first is what it begins with.
	first []share
}

func (t *topic) subscribe() *subscriber {
	s := &subscriber{parts: make(chan *part), gone: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.first, t.left = t.left, nil
	t.subscribers = append(t.subscribers, s)
	close(t.changed)
	t.changed = make(chan struct{})
	return s
}

// unsubscribe ends a subscription. What the subscriber took and did not push waits for the next one, so that it still comes before what is
// sent after it; where there are others, it goes back to who sent it.
func (t *topic) unsubscribe(s *subscriber, left []share) {
	t.mu.Lock()
	t.subscribers = slices.DeleteFunc(t.subscribers, func(x *subscriber) bool { return x == s })
	if len(t.subscribers) == 0 {
		t.left, left = append(t.left, left...), nil
	}
	close(s.gone)
	t.mu.Unlock()
	for _, of := range left {
		of.part.refuse(of.first)
	}
}

// How long a sink waits for a subscriber before the log is told, and how often it is told again.
const (
	firstTold = 5 * time.Second
	toldAgain = 30 * time.Second
)

// wait returns those who subscribe now, and waits for the first one where there is none.
func (t *topic) wait(ctx context.Context, log *slog.Logger) ([]*subscriber, error) {
	var patience *time.Timer
	var late <-chan time.Time
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
		if patience == nil {
			patience = time.NewTimer(firstTold)
			defer patience.Stop()
			late = patience.C
		}
		select {
		case <-changed:
		case <-late:
			t.tell(log)
			patience.Reset(toldAgain)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// tell tells the log that nobody subscribes, unless it was told a short time ago.
func (t *topic) tell(log *slog.Logger) {
	t.mu.Lock()
	now := time.Now()
	again := now.Sub(t.told) < firstTold
	if !again {
		t.told = now
	}
	t.mu.Unlock()
	if !again {
		log.Warn("nobody reads the memory topic; its messages wait until a pipeline of this process does", "topic", t.name)
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
