package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patienceFactor times the heartbeat is how long nothing may come from the broker. The broker itself gives a client up between two and three
	// intervals after its last byte (rabbit_heartbeat: it looks once an interval, and twice must nothing have come).
	patienceFactor = 3
	// libraryFactor is what the library allows, in heartbeats: 3 × interval/2. It is told here by SetReadDeadline and stretched.
	libraryFactor = 1.5
	// goneMargin is what the broker may take beyond that to put back what a client had.
	goneMargin = 2 * time.Second
	// secondLook is how long a read whose time is over looks again: it may be this process that was held up, and not the broker.
	secondLook = 50 * time.Millisecond
)

// wire is a TCP connection to a broker that is given up when nothing comes. It decides by itself how long to wait for the next one, from read
// to read, since the library does so in a goroutine that may hang in a write. A connection whose reading has failed is closed at once: a
// write that hangs would else hold a lock that the library's own closing waits for.
type wire struct {
	net.Conn
	broken atomic.Pointer[error] // why reading failed first
	tls    atomic.Bool           // the other side began with a record of TLS
	began  bool                  // something has come; who reads has it
	keep   func() bool           // ends the watch over the context of the handshake; false when that has ended first

	mu       sync.Mutex
	patience time.Duration // for the next byte; 0 is for ever
	learned  bool          // the patience is of the heartbeat that both sides agree upon
	late     time.Time     // nothing is read after that; zero is never
}

// silenceError says that nothing came from the broker for too long.
type silenceError struct{ patience time.Duration }

func (e *silenceError) Error() string {
	return fmt.Sprintf("nothing has come from the broker for %s", e.patience)
}

// Timeout implements net.Error.
func (*silenceError) Timeout() bool { return true }

// Temporary implements net.Error.
func (*silenceError) Temporary() bool { return false }

// newWire begins a handshake, which has patience for each answer and ends at late, or with ctx unless the wire is kept before.
func newWire(ctx context.Context, conn net.Conn, patience time.Duration, late time.Time) (*wire, error) {
	w := &wire{Conn: conn, patience: patience, late: late}
	w.keep = context.AfterFunc(ctx, w.abort)
	return w, conn.SetDeadline(late)
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	patience := w.arm(0)
	n, err := w.Conn.Read(b)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		w.arm(secondLook)
		if n, err = w.Conn.Read(b); n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !w.isLate() {
			err = &silenceError{patience}
		}
	}
	if n > 0 {
		w.first(b[0])
	}
	if err != nil {
		w.broken.CompareAndSwap(nil, &err)
		_ = w.Conn.Close()
	}
	return n, err
}

// first looks at the first byte of all: no frame of AMQP begins like an alert or a handshake of TLS (RFC 8446 section 5.1).
func (w *wire) first(b byte) {
	if !w.began {
		w.began = true
		w.tls.Store(b == 21 || b == 22)
	}
}

// answersTLS tells whether the other side has sent a record of TLS. It has in answer to TLS, too.
func (w *wire) answersTLS() bool { return w != nil && w.tls.Load() }

// arm sets the time of the next read: patience, or another span that is given.
func (w *wire) arm(span time.Duration) (patience time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if span == 0 {
		span = w.patience
	}
	var until time.Time
	if span > 0 {
		until = time.Now().Add(span)
	}
	if !w.late.IsZero() && (until.IsZero() || w.late.Before(until)) {
		until = w.late
	}
	_ = w.Conn.SetReadDeadline(until) // the read says what is wrong with the connection
	return w.patience
}

// isLate tells whether nothing is to be read any more.
func (w *wire) isLate() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.late.IsZero() && !time.Now().Before(w.late)
}

// SetReadDeadline implements net.Conn. The library calls it after frames, with libraryFactor heartbeats from now. On a busy machine less may be
// left of them; what both sides have agreed upon does not change.
func (w *wire) SetReadDeadline(t time.Time) error {
	patience := time.Duration(float64(time.Until(t)) * patienceFactor / libraryFactor).Round(time.Second)
	w.mu.Lock()
	changed := patience > 0 && (!w.learned || patience > w.patience)
	if changed {
		w.patience, w.learned = patience, true
	}
	w.mu.Unlock()
	if changed {
		w.arm(0)
	}
	return nil
}

// SetDeadline implements net.Conn. The library takes the deadline away at the end of the handshake, and sets one for the goodbye.
func (w *wire) SetDeadline(t time.Time) error {
	w.mu.Lock()
	w.late = t
	if t.IsZero() && !w.learned {
		w.patience = 0 // no heartbeats, or they are learned of in a moment
	}
	w.mu.Unlock()
	w.arm(0)
	return w.Conn.SetWriteDeadline(t)
}

// abort ends what reads and writes, now.
func (w *wire) abort() { _ = w.SetDeadline(time.Unix(1, 0)) }

// failure is why reading failed; nil when it has not.
func (w *wire) failure() error {
	if err := w.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// silent tells whether reading failed because nothing came in time.
func (w *wire) silent() bool {
	var silence *silenceError
	return w != nil && (errors.As(w.failure(), &silence) || errors.Is(w.failure(), os.ErrDeadlineExceeded))
}

// given is how long after the last byte that it has heard the broker has given up a client, with some margin.
func (w *wire) given() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.patience + goneMargin
}
