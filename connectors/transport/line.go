package transport

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// settling is how long a connection has to answer in time until its silence says nothing about how slow the address is. A request that was
	// cut off is asked again sooner than that. So many answers in a row are as good: a login, and what comes before a slow request, takes fewer.
	settling        = 5 * time.Second
	settlingAnswers = 20
	// doubtLasts is how long an address that seemed slow is taken for it.
	doubtLasts = time.Minute
	// maxDoubt bounds how slow an address may be taken to be.
	maxDoubt = 3
	// piece is how much is written under one deadline.
	piece = 64 << 10
)

// line is a connection through a gate. Its methods may be called as those of any net.Conn.
type line struct {
	net.Conn
	gate    *gate
	attempt *attempt
	opened  time.Time

	mu      sync.Mutex
	heard   time.Time // when the last bytes came
	asked   bool      // something was written since
	quick   int       // answers in time, in a row
	settled time.Time // when silence begins to be the network's doing, unless an answer is late before
	more    time.Duration
	unsent  int // of a large write, when waiting for its answer began
	large   bool
	over    bool

	reading, writing deadline
}

// deadline is one as it was set: when, for how long, and whether it was set to interrupt what is under way.
type deadline struct {
	since time.Time
	span  time.Duration
	cut   bool
}

func deadlineOf(t time.Time, more time.Duration) (d deadline, at time.Time) {
	now := time.Now()
	switch {
	case t.IsZero():
		return deadline{since: now}, t
	case !t.After(now):
		return deadline{since: now, cut: true}, t
	}
	return deadline{since: now, span: t.Sub(now) + more}, t.Add(more)
}

func newLine(conn net.Conn, g *gate, a *attempt, more time.Duration) *line {
	l := &line{Conn: conn, gate: g, attempt: a, opened: time.Now(), settled: time.Now().Add(settling), more: more}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines[l] = true
	return l
}

// Read implements net.Conn.
func (l *line) Read(b []byte) (int, error) {
	for {
		n, err := l.Conn.Read(b)
		if n > 0 {
			l.hear()
			return n, err
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) && l.extend() {
			continue
		}
		l.failed(err)
		return 0, err
	}
}

// hear notes that something came. An address is slow as long as its answers are late; how fast others come does not tell, since it may be slow
// with one kind of question alone.
func (l *line) hear() {
	l.mu.Lock()
	first, late, settles := l.heard.IsZero(), false, false
	l.heard = time.Now()
	if l.asked {
		l.asked = false
		late = l.reading.span > 0 && l.heard.Sub(l.reading.since) > l.reading.span-l.more
		if l.quick++; late {
			l.quick, l.settled = 0, l.heard.Add(doubtLasts)
		} else if l.isSettled(l.heard) {
			l.more = 0
			settles = l.quick == settlingAnswers
		}
	}
	l.mu.Unlock()
	if first {
		l.attempt.arrive()
	}
	switch {
	case late:
		l.gate.remember()
	case settles:
		l.gate.answers()
	}
}

// isSettled tells whether a silence that began at a time is the network's doing; the lock is held.
func (l *line) isSettled(since time.Time) bool {
	return since.After(l.settled) || l.quick >= settlingAnswers
}

// extend gives a reader more time when the other side was not silent for as long as the reader would wait.
func (l *line) extend() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &l.reading
	if d.cut || d.span == 0 {
		return false
	}
	now, from := time.Now(), l.quietSince()
	if left := unsent(l.Conn); l.unsent > 0 && left < l.unsent {
		from, l.unsent = now, left
		d.since = now
	}
	until := from.Add(d.span)
	return until.After(now) && l.Conn.SetReadDeadline(until) == nil
}

// quietSince is since when a reader has waited in vain; the lock is held.
func (l *line) quietSince() time.Time {
	if l.heard.After(l.reading.since) {
		return l.heard
	}
	return l.reading.since
}

// failed draws the conclusions of an error, if there is one.
func (l *line) failed(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	ours := l.reading.cut || l.writing.cut || l.over
	silent := !ours && errors.Is(err, os.ErrDeadlineExceeded)
	since := l.quietSince()
	settled := l.isSettled(since)
	l.mu.Unlock()
	if ours {
		err = nil
	}
	l.attempt.leave(err)
	if !silent {
		return
	}
	alive := l.gate.hangUp(l, since)
	l.gate.doubt(settled, alive)
}

// Write implements net.Conn. A deadline holds for each piece of what is written, and while the other side takes what was written before.
func (l *line) Write(b []byte) (n int, err error) {
	l.mu.Lock()
	l.asked, l.large = true, len(b) > piece
	l.mu.Unlock()
	for {
		before := 0
		if len(b) > piece {
			before = unsent(l.Conn)
		}
		m, err := l.Conn.Write(b[n:min(len(b), n+piece)])
		n += m
		taken := errors.Is(err, os.ErrDeadlineExceeded) && raw(l.Conn) == l.Conn && unsent(l.Conn) < before+m
		if n == len(b) || err != nil && !taken || !l.goOn() && err != nil {
			l.failed(err)
			return n, err
		}
	}
}

// goOn begins the deadline of the next piece, unless the writer was interrupted.
func (l *line) goOn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing.span > 0 {
		_ = l.Conn.SetWriteDeadline(time.Now().Add(l.writing.span)) // the write will say what is wrong
	}
	return !l.writing.cut
}

// SetReadDeadline implements net.Conn. A time that has passed interrupts whoever reads.
func (l *line) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading, t = deadlineOf(t, l.more)
	if l.unsent = 0; l.large && l.reading.span > 0 {
		l.unsent = unsent(l.Conn)
	}
	return l.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (l *line) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing, t = deadlineOf(t, l.more)
	return l.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (l *line) SetDeadline(t time.Time) error {
	return errors.Join(l.SetReadDeadline(t), l.SetWriteDeadline(t))
}

// Close implements net.Conn.
func (l *line) Close() error {
	l.end()
	return l.Conn.Close()
}

func (l *line) end() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.attempt.leave(nil)
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	delete(l.gate.lines, l)
}

// hangUp ends the other lines when all that are as old have said nothing lately: the network is silent then. When one of them has, the
// address is alive and was only slow with what was asked here, and the others wait by right.
func (g *gate) hangUp(but *line, since time.Time) (alive bool) {
	var silent []*line
	lately := since.Add(time.Since(since) / 2) // what came just before the silence is no sign of life
	g.mu.Lock()
	for l := range g.lines {
		if l == but || !l.opened.Before(since) {
			continue
		}
		l.mu.Lock()
		alive = alive || l.heard.After(lately)
		l.mu.Unlock()
		silent = append(silent, l)
	}
	g.mu.Unlock()
	if alive {
		return true
	}
	for _, l := range silent {
		l.end()
		_ = raw(l.Conn).Close() // the reader learns of it
	}
	return false
}

// raw is the connection below TLS, which closes without a word to the other side.
func raw(conn net.Conn) net.Conn {
	if private, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return private.NetConn()
	}
	return conn
}

// doubt notes that a connection was silent for too long. On one that has settled it is the network; on a young one, while others speak, what was
// asked takes long there; when nothing is heard at all, it may be either.
func (g *gate) doubt(settled, alive bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if settled || time.Since(g.since) > doubtLasts {
		g.slow, g.either = 0, 0
	}
	switch {
	case settled:
	case alive:
		g.slow = min(g.slow+2, maxDoubt)
	default:
		g.either = min(g.either+1, maxDoubt)
	}
	g.since = time.Now()
}

// answers notes that a connection has settled: what nothing was heard of was the network.
func (g *gate) answers() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.either = 0
}

// remember notes that the address is still slow, if it was.
func (g *gate) remember() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.slow+g.either > 0 && time.Since(g.since) <= doubtLasts {
		g.since = time.Now()
	}
}

// doubts is how much longer than usual the address may be silent.
func (g *gate) doubts(patience time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.since) > doubtLasts {
		return 0
	}
	return patience * (1<<max(g.slow-1, g.either-1, 0) - 1)
}
