package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server answers each line with greeting and the line, and counts what it reads.
type server struct {
	net.Listener
	got atomic.Int64
}

func serve(t *testing.T, greeting string) *server {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c, greeting)
		}
	}()
	return s
}

func (s *server) talk(c net.Conn, greeting string) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		s.got.Add(int64(len(line)))
		if err != nil {
			return
		}
		if _, err := c.Write([]byte(greeting + line)); err != nil {
			return
		}
	}
}

func start(t *testing.T, target net.Listener) *Proxy {
	t.Helper()
	p, err := New(t.Context(), target.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

type client struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *client {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &client{Conn: c, in: bufio.NewReader(c)}
}

// ask says a line and returns the answer, or what came instead within a while.
func (c *client) ask(line string, within time.Duration) (string, error) {
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	_ = c.SetReadDeadline(time.Now().Add(within))
	answer, err := c.in.ReadString('\n')
	return string(bytes.TrimSpace([]byte(answer))), err
}

const soon, atAll = 150 * time.Millisecond, 10 * time.Second

func (c *client) mustAnswer(t *testing.T, line, want string) {
	t.Helper()
	if got, err := c.ask(line, atAll); err != nil || got != want {
		t.Fatalf("answer %q, %v; want %q", got, err, want)
	}
}

func TestWhatPassesIsUnchanged(t *testing.T) {
	shapes := map[string]Shape{
		"as it comes": {}, "byte after byte": {Piece: 1}, "late": {Latency: 20 * time.Millisecond, Jitter: 19 * time.Millisecond},
		"narrow": {Rate: 100_000},
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			p := start(t, serve(t, ""))
			p.Set(shape)
			c, long := dial(t, p), string(bytes.Repeat([]byte("0123456789"), 2000))
			for range 3 {
				c.mustAnswer(t, long, long)
			}
			if p.Accepted() != 1 {
				t.Errorf("%d connections", p.Accepted())
			}
		})
	}
}

func TestAResetEndsConnectionsAndNewOnesWork(t *testing.T) {
	p := start(t, serve(t, ""))
	c := dial(t, p)
	c.mustAnswer(t, "a", "a")
	p.Reset()
	_ = c.SetReadDeadline(time.Now().Add(atAll))
	if _, err := c.in.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
	dial(t, p).mustAnswer(t, "b", "b")
}

func TestAHalfOpenConnectionSaysNothingAndNewOnesWork(t *testing.T) {
	s := serve(t, "")
	p := start(t, s)
	c := dial(t, p)
	c.mustAnswer(t, "a", "a")
	p.Silence()
	if _, err := c.ask("lost", soon); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want silence", err)
	}
	if s.got.Load() != 2 {
		t.Errorf("%d bytes have passed", s.got.Load())
	}
	dial(t, p).mustAnswer(t, "b", "b")
}

func TestAMuteProxyHearsClientsAndSaysNothing(t *testing.T) {
	s := serve(t, "")
	p := start(t, s)
	c := dial(t, p)
	c.mustAnswer(t, "a", "a")
	p.Mute()
	if _, err := c.ask("heard", soon); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want silence", err)
	}
	if n := s.got.Load(); n != 2+6 {
		t.Errorf("the server has %d bytes, want 8", n)
	}
	p.Silence()
	if _, err := c.ask("lost", soon); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want silence", err)
	}
	if n := s.got.Load(); n != 2+6 {
		t.Errorf("the server has %d bytes, want 8", n)
	}
	dial(t, p).mustAnswer(t, "b", "b")
}

func TestADeafProxyTakesConnectionsAndSaysNothing(t *testing.T) {
	p := start(t, serve(t, ""))
	p.Deafen()
	c := dial(t, p)
	if _, err := c.ask("lost", soon); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want silence", err)
	}
	p.Hear()
	if _, err := c.ask("late", soon); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want silence for good", err)
	}
	dial(t, p).mustAnswer(t, "b", "b")
}

func TestACutComesAfterSoManyBytes(t *testing.T) {
	s := serve(t, "")
	p := start(t, s)
	c := dial(t, p)
	c.mustAnswer(t, "a", "a")
	p.CutAfter(7)
	if _, err := c.ask("0123456789", atAll); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("%v, want an end", err)
	}
	for end := time.Now().Add(atAll); s.got.Load() != 2+7; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes have passed, want 9", s.got.Load())
		}
	}
}

func TestAnAddressIsReplacedWhereverItIsTorn(t *testing.T) {
	p := start(t, serve(t, "go to HOST-1234, "))
	if err := p.Replace([]byte("HOST-1234"), []byte("host-9876")); err != nil {
		t.Fatal(err)
	}
	dial(t, p).mustAnswer(t, "HOST-HOST-1234", "go to host-9876, HOST-host-9876")
	for cut := range len("xHOST-1234HOST-y") {
		r := rewriter{old: []byte("HOST-1234"), new: []byte("host-9876")}
		all := []byte("xHOST-1234HOST-y")
		got := string(r.do(bytes.Clone(all[:cut]), false)) + string(r.do(bytes.Clone(all[cut:]), true))
		if got != "xhost-9876HOST-y" {
			t.Errorf("torn after %d: %q", cut, got)
		}
	}
	if p.Replace([]byte("ab"), []byte("abc")) == nil {
		t.Error("another length was taken")
	}
}

func TestAServerThatIsAwayEndsConnections(t *testing.T) {
	s := serve(t, "")
	p := start(t, s)
	_ = s.Close()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	if err == nil {
		defer func() { _ = c.Close() }()
		_ = c.SetReadDeadline(time.Now().Add(atAll))
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want an end", err)
	}
}

func TestTheBeginningOfAnAddressIsNotHeldForEver(t *testing.T) {
	p := start(t, serve(t, ""))
	if err := p.Replace([]byte("\nHOST"), []byte("\nhost")); err != nil {
		t.Fatal(err)
	}
	dial(t, p).mustAnswer(t, "a", "a")
}
