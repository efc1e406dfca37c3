package amqp

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/flow"
)

// health is what is wrong now with a connection or the way to one, for whoever asks.
type health struct {
	mu    sync.Mutex
	since time.Time
	err   error
}

// fails notes what is wrong, and since when.
func (h *health) fails(since time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since, h.err = since, err
}

// works notes that nothing is wrong any more.
func (h *health) works() { h.fails(time.Time{}, nil) }

// Trouble implements flow.Troubled.
func (h *health) Trouble() (since time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since, h.err
}

// Trouble implements flow.Troubled: the queue is not consumed.
func (s *source) Trouble() (since time.Time, err error) { return s.outage.health.Trouble() }

// Trouble implements flow.Troubled: there is no connection, or the broker has blocked it.
func (s *sink) Trouble() (since time.Time, err error) {
	if since, err = s.outage.health.Trouble(); err != nil {
		return since, err
	}
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l == nil {
		return time.Time{}, nil
	}
	return l.health.Trouble()
}

// lagPatience is how long the broker may take to say how much waits in a queue.
const lagPatience = time.Second

// gauge asks the broker how much waits in a queue, when somebody wants to know; who asks at the same time gets the same answer.
type gauge struct {
	received atomic.Uint64 // the last delivery's tag

	mu      sync.Mutex
	asking  *question
	closing bool
}

type question struct {
	answered chan struct{}
	ready    int64 // valid when answered is closed; negative when the broker does not say
}

// Lag implements flow.Lagged: what is ready in the queue, and what this source has been delivered and not settled.
func (s *source) Lag() int64 {
	s.mu.Lock()
	se := s.current
	s.mu.Unlock()
	if se == nil {
		return -1
	}
	ready := se.ready()
	if ready < 0 {
		return -1
	}
	return ready + se.acks.unsettled(se.gauge.received.Load())
}

// ready is how much waits in the queue, without what is delivered; negative when that is not known.
func (se *session) ready() int64 {
	g := &se.gauge
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		return -1
	}
	q := g.asking
	if q == nil {
		q = &question{answered: make(chan struct{})}
		g.asking = q
		se.ended.Go(func() { se.ask(q) })
	}
	g.mu.Unlock()
	late := time.NewTimer(lagPatience)
	defer late.Stop()
	select {
	case <-q.answered:
		return q.ready
	case <-late.C:
		return -1
	}
}

// ask answers a question on a channel of its own, since the broker closes that of whoever asks for a queue that is gone.
func (se *session) ask(q *question) {
	q.ready = -1
	defer func() {
		se.gauge.mu.Lock()
		se.gauge.asking = nil
		se.gauge.mu.Unlock()
		close(q.answered)
	}()
	ch, err := se.conn.Channel()
	if err != nil {
		return
	}
	defer ch.Close() //nolint:errcheck // it has nothing to lose
	if queue, err := ch.QueueDeclarePassive(se.queue, true, false, false, false, nil); err == nil {
		q.ready = int64(queue.Messages)
	}
}

// close lets nobody ask any more.
func (g *gauge) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
}

// unsettled is how many of the deliveries up to a tag are not settled.
func (a *acks) unsettled(received uint64) (n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if received < a.first {
		return 0
	}
	n = int64(received - a.first + 1)
	for _, m := range a.marks {
		if m != pending {
			n--
		}
	}
	return max(0, n)
}

var (
	_ flow.Troubled = (*source)(nil)
	_ flow.Troubled = (*sink)(nil)
	_ flow.Lagged   = (*source)(nil)
)
