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
// away, and what is known of consumers that the broker may still count.
type shared struct {
	mu     sync.Mutex
	next   time.Time     // no attempt before that, unless one succeeds
	back   chan struct{} // closed and replaced when an attempt has succeeded
	ghosts map[string]ghost
}

// ghost is a consumer of a session that has ended without the broker's having said so: its deliveries are the broker's again only when the
// broker has given the old connection up.
type ghost struct {
	others int       // how many other consumers the queue had
	until  time.Time // by then it is gone
}

func newShared() *shared { return &shared{back: make(chan struct{}), ghosts: map[string]ghost{}} }

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

// wait waits for a turn to connect. Those who wait for the same broker take turns. When one of them gets through, those who are eager do not
// wait any more; who fails at something else than connecting is not, or two of them would drive each other. It reports false when the
// wait was cut short.
func (s *shared) wait(attempts int, eager bool, done <-chan struct{}) bool {
	span, now := pause(attempts), time.Now()
	s.mu.Lock()
	at := now.Add(span)
	if s.next.After(at) {
		at = s.next
	}
	s.next = at.Add(span)
	back := s.back
	s.mu.Unlock()
	if !eager {
		back = nil
	}
	turn := time.NewTimer(at.Sub(now))
	defer turn.Stop()
	select {
	case <-turn.C:
		return true
	case <-back:
		return true
	case <-done:
		return false
	}
}

// reached tells those who wait that the broker is there.
func (s *shared) reached() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	close(s.back)
	s.back = make(chan struct{})
}

// haunt notes that the broker may still count a consumer of the queue.
func (s *shared) haunt(queue string, g ghost) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.ghosts[queue]; ok {
		g.others = min(g.others, old.others)
		if old.until.After(g.until) {
			g.until = old.until
		}
	}
	s.ghosts[queue] = g
}

// haunted tells whether a queue with so many consumers may still have one that is none, and else how many others it has. Once it has not, the
// next ones need not ask.
func (s *shared) haunted(queue string, consumers int) (wait bool, others int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.ghosts[queue]
	if ok && consumers > g.others {
		if time.Now().Before(g.until) {
			return true, 0
		}
		consumers = g.others // the rest have come since, or are ghosts of a slow broker
	}
	delete(s.ghosts, queue)
	return false, consumers
}
