package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
)

// far is the other side of an address, which answers, refuses, hangs up or says nothing. It notes when it was asked for a connection.
type far struct {
	mu     sync.Mutex
	does   string
	began  time.Time
	asked  []time.Duration
	opened []net.Conn
	quiet  int // so many of them say nothing any more
}

func newFar(does string) *far { return &far{does: does, began: time.Now()} }

func (f *far) turn(does string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.does = does
}

// hush makes the connections that are open silent for good, whatever is asked on them.
func (f *far) hush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quiet = len(f.opened)
}

func (f *far) silenced(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return n < f.quiet
}

func (f *far) times() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *far) way() Way { return Way{Patience: 2 * time.Second, Dial: f.dial} }

func (f *far) dial(context.Context, string, string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, time.Since(f.began))
	near, there := net.Pipe()
	mine := len(f.opened)
	f.opened = append(f.opened, near, there)
	switch does := f.does; does {
	case "refuses":
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	case "hangs up":
		_ = there.Close()
	case "is silent":
	default:
		go func() {
			b := make([]byte, 1<<10)
			for {
				n, err := there.Read(b)
				if err != nil {
					return
				}
				if does == "takes 3 s" {
					time.Sleep(3 * time.Second)
				}
				if f.silenced(mine) {
					continue
				}
				if _, err := there.Write(b[:n]); err != nil {
					return
				}
			}
		}()
	}
	return near, nil
}

func (f *far) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.opened {
		_ = c.Close()
	}
}

// talk connects, and says something for which it waits two seconds.
func talk(ctx context.Context, g *Gates, f *far) error {
	conn, err := g.Dial(ctx, f.way(), "tcp", "broker:1")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return say(conn)
}

func say(conn net.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	go func() { _, _ = conn.Write([]byte("hello")) }()
	_, err := conn.Read(make([]byte, 16))
	return err
}

func newGates(t *testing.T) *Gates {
	t.Helper()
	g, release, err := ShareGates(connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func seconds(n ...int) (all []time.Duration) {
	for _, s := range n {
		all = append(all, time.Duration(s)*time.Second)
	}
	return all
}

func TestAnAddressThatIsDownIsTriedOnceASecond(t *testing.T) {
	for _, does := range []string{"refuses", "hangs up"} {
		t.Run(does, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, f := newGates(t), newFar(does)
				defer f.close()
				if talk(t.Context(), g, f) == nil {
					t.Fatal("it answered")
				}
				var clients sync.WaitGroup
				for range 20 {
					clients.Go(func() {
						for time.Since(f.began) < 4500*time.Millisecond {
							if talk(t.Context(), g, f) == nil {
								t.Error("it answered")
							}
						}
					})
				}
				clients.Wait()
				if diff := cmp.Diff(seconds(0, 1, 2, 3, 4, 5), f.times()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestAllGoOnAsSoonAsAnAddressIsUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGates(t), newFar("refuses")
		defer f.close()
		_ = talk(t.Context(), g, f)
		f.turn("answers")
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() {
				if err := talk(t.Context(), g, f); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		if err := talk(t.Context(), g, f); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(seconds(0, 1, 1, 1, 1, 1, 1), f.times()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhoWaitsForAnAddressGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGates(t), newFar("refuses")
		defer f.close()
		_ = talk(t.Context(), g, f)
		f.turn("is silent")
		impatient, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var clients sync.WaitGroup
		for range 3 { // the first of them would be the next to try
			clients.Go(func() {
				if err := talk(impatient, g, f); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		f.turn("answers")
		if err := talk(t.Context(), g, f); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(seconds(0, 1), f.times()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAConnectionThatIsGivenUpSaysNothingAboutItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGates(t), newFar("is silent")
		defer f.close()
		for range 3 {
			conn, err := g.Dial(t.Context(), f.way(), "tcp", "broker:1")
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Millisecond, func() { _ = conn.SetDeadline(time.Now()) })
			if say(conn) == nil {
				t.Error("it answered")
			}
			_ = conn.Close()
		}
		if at := f.times()[2]; at >= time.Second {
			t.Errorf("the third connection had to wait for %s", at)
		}
	})
}

func TestWhatGoesWrongWithOneSettingHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, bad, good := newGates(t), newFar("hangs up"), newFar("answers")
		defer bad.close()
		defer good.close()
		_ = talk(t.Context(), g, bad)
		w := good.way()
		w.As = "other"
		if _, err := g.Dial(t.Context(), w, "tcp", "broker:1"); err != nil || time.Since(good.began) > 0 {
			t.Errorf("it took %s, %v", time.Since(good.began), err)
		}
	})
}

func TestGatesThatNobodyNeedsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGates(t), newFar("answers")
		defer f.close()
		held, err := g.Dial(t.Context(), f.way(), "tcp", "broker:0")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			conn, err := g.Dial(t.Context(), f.way(), "tcp", fmt.Sprintf("broker:%d", n+1))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			time.Sleep(30 * time.Second)
		}
		if n := len(g.at); n > 5 || g.at["\x00broker:0"] == nil {
			t.Errorf("%d gates are left; the one in use is there: %t", n, g.at["\x00broker:0"] != nil)
		}
		_ = held.Close()
	})
}
