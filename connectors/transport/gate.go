package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/flow"
)

// pace is the least time between the beginnings of two attempts to connect to an address that is down.
const pace = time.Second

// Gates are the ways of this process to the addresses of brokers, one gate for each address. While an address is down, which is when it could not
// be dialled or ended its last connection before it had said anything, its gate lets one attempt through at a time, and one a second; who else
// wants to connect shares the outcome. To an address that is up, everybody connects at once.
type Gates struct {
	mu sync.Mutex
	at map[string]*gate
}

// ShareGates lends the gates of the process until release.
func ShareGates(host flow.Host) (gates *Gates, release func() error, err error) {
	shared, release, err := host.Share("transport gates", func() (io.Closer, error) { return &Gates{at: map[string]*gate{}}, nil })
	if err != nil {
		return nil, nil, err
	}
	gates, ok := shared.(*Gates)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("the shared gates are a %T", shared), release())
	}
	return gates, release, nil
}

// Close implements io.Closer. Connections that were made stay as they are.
func (*Gates) Close() error { return nil }

// Way is how to get to an address.
type Way struct {
	// As tells settings apart that decide whether an address answers: TLS, say. Clients with equal ones share their attempts; what goes wrong
	// with one setting holds up no other.
	As string
	// Patience is how long the other side may be silent while Secure runs; see also Dial.
	Patience time.Duration
	// Dial connects; it bounds its time itself.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Secure, when there is one, makes the connection a private one. It closes the connection when it fails.
	Secure func(ctx context.Context, conn net.Conn, address string) (net.Conn, error)
}

// Dial connects to an address when its gate lets it, and gives up when ctx ends. What it returns takes a deadline for reading as one for silence: it
// begins anew with each byte that comes, and while the other side still takes what was written. When it passes, and none of the older
// connections through the gate has said anything lately, all of them are closed, too. An address that was silent soon after it had been
// connected to may be slow, or slow with what it is asked: for the next connections, deadlines are Patience later, and then three times that
// much, until they have answered in time for a while.
func (g *Gates) Dial(ctx context.Context, w Way, network, address string) (net.Conn, error) {
	at := g.gate(w.As + "\x00" + address)
	defer at.users.Add(-1)
	a, err := at.enter(ctx)
	if err != nil {
		return nil, err
	}
	more := at.doubts(w.Patience)
	conn, err := w.connect(ctx, at, more, network, address)
	if err != nil {
		if ctx.Err() != nil {
			a.leave(nil)
		} else {
			a.leave(err)
		}
		return nil, err
	}
	return newLine(conn, at, a, more), nil
}

// gate gives the one of an address, which has one user more then. Before there is a new one, those that nobody needs are dropped.
func (g *Gates) gate(key string) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.at[key]
	if !ok {
		maps.DeleteFunc(g.at, func(_ string, at *gate) bool { return at.idle() })
		at = &gate{lines: map[*line]bool{}}
		g.at[key] = at
	}
	at.users.Add(1)
	return at
}

// idle tells that nobody uses the gate, and that what it knows of its address is old.
func (g *gate) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.users.Load() == 0 && len(g.lines) == 0 && time.Since(g.began) > doubtLasts && time.Since(g.since) > doubtLasts
}

func (w *Way) connect(ctx context.Context, at *gate, more time.Duration, network, address string) (net.Conn, error) {
	conn, err := w.Dial(ctx, network, address)
	if err != nil || w.Secure == nil {
		return conn, err
	}
	patient, cancel := context.WithTimeout(ctx, w.Patience+more)
	defer cancel()
	secured, err := w.Secure(patient, conn, address)
	if err != nil && patient.Err() != nil && ctx.Err() == nil {
		at.doubt(false, false)
	}
	return secured, err
}

// gate is the way to one address.
type gate struct {
	mu sync.Mutex
	// down is why the address is down, nil while it is not; opened is closed when it is up again, which was last at up.
	down   error
	opened chan struct{}
	up     time.Time
	// began is when the last attempt began, trying the one under way while the address is down.
	began  time.Time
	trying *attempt

	users atomic.Int32 // who is in Dial
	lines map[*line]bool
	// slow and either count silences by what they may mean; see doubt.
	slow, either int
	since        time.Time // of the last doubt
}

// attempt is one try to connect. It ends once: with the first byte, an error, or without an outcome.
type attempt struct {
	gate  *gate
	began time.Time
	ended bool
	done  chan struct{}
	err   error // valid when done is closed; nil when it worked, or nothing is known
}

// enter waits until the caller may try. An error is that of an attempt that it would have been the next of, or ctx's.
func (g *gate) enter(ctx context.Context) (*attempt, error) {
	for {
		g.mu.Lock()
		if g.down == nil {
			defer g.mu.Unlock()
			return g.begin(), nil
		}
		ahead, opened := g.trying, g.opened
		if ahead == nil {
			wait := time.Until(g.began.Add(pace))
			g.trying = &attempt{gate: g, done: make(chan struct{})}
			mine := g.trying
			g.mu.Unlock()
			return mine, mine.wait(ctx, wait, opened)
		}
		g.mu.Unlock()
		select {
		case <-ahead.done:
			if ahead.err != nil {
				return nil, shared(ahead.err)
			}
		case <-opened:
		case <-ctx.Done():
			return nil, gaveUp(ctx)
		}
	}
}

func gaveUp(ctx context.Context) error {
	return fmt.Errorf("the address is down, waiting to try it again: %w", ctx.Err())
}

// begin is an attempt that begins now; the lock is held.
func (g *gate) begin() *attempt {
	g.began = time.Now()
	return &attempt{gate: g, began: g.began, done: make(chan struct{})}
}

// wait lets the time pass until the attempt may begin, or the address is up.
func (a *attempt) wait(ctx context.Context, pause time.Duration, opened <-chan struct{}) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-opened:
	case <-ctx.Done():
		a.leave(nil)
		return gaveUp(ctx)
	}
	a.gate.mu.Lock()
	a.began = time.Now()
	a.gate.began = a.began
	a.gate.mu.Unlock()
	return nil
}

// shared is what those who waited for an attempt get from it: they have not dialled, so there was no connection of theirs that could have ended.
func shared(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" || Failure(err) {
		return err
	}
	return &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("the address is down: " + err.Error())}
}

// arrive ends the attempt with a success: the other side has said something.
func (a *attempt) arrive() {
	g := a.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.end(nil) && g.down != nil {
		g.down, g.up = nil, time.Now()
		close(g.opened)
	}
}

// leave ends the attempt with an error, or, with nil, without any outcome.
func (a *attempt) leave(err error) {
	g := a.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if !a.end(err) || err == nil || a.began.Before(g.up) {
		return
	}
	if g.down == nil {
		g.opened = make(chan struct{})
	}
	g.down = err
}

// end tells whether this is the end; the lock is held.
func (a *attempt) end(err error) bool {
	if a.ended {
		return false
	}
	a.ended, a.err = true, err
	close(a.done)
	if a.gate.trying == a {
		a.gate.trying = nil
	}
	return true
}
