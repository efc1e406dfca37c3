package transport

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestALineThatWasSilentEndsTheOthersUnlessOneOfThemSpoke(t *testing.T) {
	for _, tt := range []struct {
		name  string
		other bool // speaks meanwhile on a connection that is as old
		ends  time.Duration
	}{
		{"a network that is silent", false, 2 * time.Second},
		{"an address that is slow", true, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { endsOthers(t, tt.other, tt.ends) }) })
	}
}

func endsOthers(t *testing.T, speaks bool, ends time.Duration) {
	t.Helper()
	g, quiet, alive := newGates(t), newFar("is silent"), newFar("answers")
	defer quiet.close()
	defer alive.close()
	dial := func(f *far) net.Conn {
		conn, err := g.Dial(t.Context(), f.way(), "tcp", "broker:1")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	waits, other, talks := dial(quiet), dial(quiet), dial(alive)
	time.Sleep(time.Second)
	ended := make(chan error)
	go func() {
		_ = waits.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := waits.Read(make([]byte, 1))
		ended <- err
	}()
	if speaks {
		time.AfterFunc(1500*time.Millisecond, func() {
			if err := say(talks); err != nil {
				t.Error(err)
			}
		})
	}
	began := time.Now()
	young := make(chan error)
	time.AfterFunc(time.Second, func() { // its connection says nothing about the older ones
		conn := dial(alive)
		err := say(conn)
		time.Sleep(2 * time.Second)
		young <- errors.Join(err, say(conn), conn.Close())
	})
	if say(other) == nil {
		t.Error("it answered")
	}
	if err := <-young; err != nil {
		t.Errorf("the younger one: %v", err)
	}
	_ = other.Close()
	if err := <-ended; err == nil || time.Since(began) < ends {
		t.Errorf("the one that waited ended after %s: %v", time.Since(began), err)
	}
	if !speaks && time.Since(began) > 10*time.Second {
		t.Errorf("the one that waited ended after %s", time.Since(began))
	}
	_, _ = waits.Close(), talks.Close()
}

func TestAnAddressThatIsSlowWithOneQuestionGetsMoreTimeForIt(t *testing.T) {
	const login, slow = 5, 3500 * time.Millisecond // quick answers, and what the next one takes
	synctest.Test(t, func(t *testing.T) {
		g, made := newGates(t), 0
		w := Way{Patience: 2 * time.Second, Dial: func(context.Context, string, string) (net.Conn, error) {
			made++
			near, there := net.Pipe()
			go func() {
				defer func() { _ = there.Close() }()
				b := make([]byte, 64)
				for i := 0; ; i++ {
					n, err := there.Read(b)
					if err != nil {
						return
					}
					if i >= login && i%2 == 1 {
						time.Sleep(slow)
					}
					if _, err := there.Write(b[:n]); err != nil {
						return
					}
				}
			}()
			return near, nil
		}}
		answered := 0
		for answered < 20 && made < 10 {
			conn, err := g.Dial(t.Context(), w, "tcp", "broker:1")
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; answered < 20 && say(conn) == nil; i++ {
				if i >= login {
					answered++
					time.Sleep(3 * time.Second)
				}
			}
			_ = conn.Close()
		}
		time.Sleep(2 * slow)
		if answered < 20 || made > 4 {
			t.Errorf("%d answers on %d connections", answered, made)
		}
	})
}

func TestASilentNetworkAgainAndAgainMakesNoAddressSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGates(t), newFar("answers")
		defer f.close()
		for range 6 {
			conn, err := g.Dial(t.Context(), f.way(), "tcp", "broker:1")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := say(conn); err != nil {
					t.Fatal(err)
				}
				time.Sleep(settling)
			}
			f.hush()
			began := time.Now()
			f.turn("is silent")
			if say(conn) == nil || talk(t.Context(), g, f) == nil {
				t.Error("it answered")
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("the silence was found after %s", took)
			}
			f.turn("answers")
			_ = conn.Close()
		}
	})
}

func TestAnAddressThatIsSlowGetsMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGates(t), newFar("takes 3 s")
		defer f.close()
		for range 2 {
			if talk(t.Context(), g, f) == nil {
				t.Error("it answered within 2 s")
			}
		}
		conn, err := g.Dial(t.Context(), f.way(), "tcp", "broker:1")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		for range 10 {
			if err := say(conn); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAnAddressThatHasAnsweredInTimeGetsNoMoreTimeThanBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGates(t), newFar("is silent")
		defer f.close()
		for range maxDoubt {
			_ = talk(t.Context(), g, f)
		}
		f.turn("answers")
		conn, err := g.Dial(t.Context(), f.way(), "tcp", "broker:1")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := say(conn); err != nil {
				t.Fatal(err)
			}
			time.Sleep(settling + time.Second)
		}
		l, ok := conn.(*line)
		if !ok || l.more != 0 {
			t.Errorf("it may still be %s late", l.more)
		}
		_ = conn.Close()
	})
}

func TestWhatComesSlowlyIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newGates(t), newFar("is silent")
		defer f.close()
		conn, err := g.Dial(t.Context(), f.way(), "tcp", "broker:1")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		go func() {
			for range 5 {
				time.Sleep(1500 * time.Millisecond)
				_, _ = f.opened[1].Write([]byte("x"))
			}
		}()
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		for range 5 {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestALargeWriteIsNotSilenceWhileItGoesOn(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	const large = 4 << 20
	took := atomic.Int64{}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(64 << 10) // what has not been read is with the writer
		}
		for b := make([]byte, large/20); took.Load() < large; time.Sleep(150 * time.Millisecond) {
			n, err := conn.Read(b)
			if took.Add(int64(n)); err != nil {
				return
			}
		}
		_, _ = conn.Write([]byte("x"))
	}()
	w := Way{Patience: time.Second, Dial: (&net.Dialer{}).DialContext}
	conn, err := newGates(t).Dial(t.Context(), w, "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	if n, err := conn.Write(make([]byte, large)); n != large || err != nil {
		t.Fatal(n, err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("after %d bytes: %v", took.Load(), err)
	}
}
