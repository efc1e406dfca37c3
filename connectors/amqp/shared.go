package amqp

import (
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// shared is what all sources and sinks of the process that connect to one broker have in common: who may try to connect next while it is
// away.
type shared struct {
	turn chan struct{} // one slot: who has it is the next to try
	mu   sync.Mutex
	next time.Time     // no attempt before that, unless one succeeds
	back chan struct{} // closed and replaced when an attempt has succeeded
}

func newShared() *shared { return &shared{turn: make(chan struct{}, 1), back: make(chan struct{})} }

// share takes part in what is shared; the engine counts who does.
func (d *dialer) share(host flow.Host) (*shared, func() error, error) {
	key := []string{"amqp"}
	for _, u := range d.urls {
		key = append(key, u.Reveal())
	}
	res, release, err := host.Share(strings.Join(key, "\x00"), func() (io.Closer, error) { return newShared(), nil })
	if err != nil {
		return nil, nil, err
	}
	s, _ := res.(*shared)
	return s, release, nil
}

// Close implements io.Closer.
func (*shared) Close() error { return nil }

// pause is how long to wait after so many attempts that have failed: little at first, then at most one attempt a second.
func pause(attempts int) time.Duration {
	switch attempts {
	case 0:
		return 50*time.Millisecond + jitter(50*time.Millisecond)
	case 1:
		return 300*time.Millisecond + jitter(200*time.Millisecond)
	}
	return time.Second + jitter(300*time.Millisecond)
}

func jitter(most time.Duration) time.Duration { return rand.N(most) } //nolint:gosec // jitter needs no secrecy

// wait waits for a turn to connect. Those who wait for the same broker take turns, in the order in which they came; who does not wait any more
// leaves no gap. When one of them gets through, those who are eager do not wait any more; who fails at something else than connecting is
// not, or two of them would drive each other. It reports false when the wait was cut short.
func (s *shared) wait(attempts int, eager bool, done <-chan struct{}) bool {
	span := pause(attempts)
	at := time.Now().Add(span)
	s.mu.Lock()
	back := s.back
	s.mu.Unlock()
	if !eager {
		back = nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-back:
		return true
	case <-done:
		return false
	}
	s.mu.Lock()
	if s.next.After(at) {
		at = s.next
	}
	s.mu.Unlock()
	turn := time.NewTimer(time.Until(at))
	defer turn.Stop()
	select {
	case <-turn.C:
	case <-back:
		return true
	case <-done:
		return false
	}
	s.mu.Lock()
	s.next = time.Now().Add(span)
	s.mu.Unlock()
	return true
}

// reached tells those who wait that the broker is there.
func (s *shared) reached() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	close(s.back)
	s.back = make(chan struct{})
}
