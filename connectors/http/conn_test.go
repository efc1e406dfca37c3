package http

import (
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// spy is a connection that counts the deadlines it is told.
type spy struct {
	net.Conn
	mu          sync.Mutex
	read, write []time.Time
}

func (s *spy) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	s.read = append(s.read, t)
	s.mu.Unlock()
	return s.Conn.SetReadDeadline(t)
}

func (s *spy) SetWriteDeadline(t time.Time) error {
	s.write = append(s.write, t)
	return s.Conn.SetWriteDeadline(t)
}

func pair() (c *boundedConn, s *spy, other net.Conn) {
	here, there := net.Pipe()
	s = &spy{Conn: here}
	free := make(chan struct{}, 1)
	free <- struct{}{}
	return &boundedConn{Conn: s, free: free}, s, there
}

func TestADeadlineThatNobodyReadsUnderIsNotPassedOn(t *testing.T) {
	c, s, other := pair()
	defer c.Close()
	defer other.Close()
	for range 10 {
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
	}
	_ = c.SetReadDeadline(time.Time{})
	go func() { _, _ = io.WriteString(other, "xy") }()
	b := make([]byte, 1)
	for range 2 {
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.read) != 0 {
		t.Errorf("%d deadlines were passed on, which is none in the end", len(s.read))
	}
	_ = c.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read under a deadline that has passed: %v", err)
	}
}

func TestADeadlineEndsAReadThatIsUnderWay(t *testing.T) {
	c, s, other := pair()
	defer c.Close()
	defer other.Close()
	ended := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	for reading := false; !reading; {
		c.mu.Lock()
		reading = c.reads > 0
		c.mu.Unlock()
	}
	_ = c.SetReadDeadline(time.Now().Add(-time.Second)) // as net/http does to end its look for a client that hangs up
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ended with %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	go func() { _, _ = io.WriteString(other, "x") }()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("the next read: %v", err)
	}
	if len(s.read) != 2 {
		t.Errorf("told %v", s.read)
	}
}

func TestEachWriteHasItsTime(t *testing.T) {
	c, s, other := pair()
	defer c.Close()
	defer other.Close()
	go func() { _, _ = io.Copy(io.Discard, other) }()
	for range 3 {
		before := time.Now()
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		if c.writeUntil.Before(before.Add(writeTimeout)) || c.writeUntil.After(time.Now().Add(2*writeTimeout)) {
			t.Errorf("a write may take until %v", c.writeUntil)
		}
	}
	if len(s.write) != 1 {
		t.Errorf("three writes in a row set %d deadlines", len(s.write))
	}
	c.writeUntil = time.Now().Add(writeTimeout / 2)
	if _, err := io.WriteString(c, "x"); err != nil || len(s.write) != 2 {
		t.Errorf("a write whose time was short: %v, %d deadlines", err, len(s.write))
	}
}

func TestAConnectionTooManyWaitsForAnother(t *testing.T) {
	inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &bounded{Listener: inner, free: make(chan struct{}, 2)}
	defer l.Close()
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted beside two")
	case <-time.After(50 * time.Millisecond):
	}
	_ = first.Close()
	_ = first.Close() // gives back one place, not two
	third := <-accepted
	if n := len(l.free); n != 2 {
		t.Errorf("%d places are taken, want 2", n)
	}
	_, _ = second.Close(), third.Close()
	_ = l.Close()
	<-accepted
}

func TestARequestTooManyIsAskedToComeAgain(t *testing.T) {
	s := &server{}
	s.handlers.Store(maxHandlers)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader("x")))
	if w.Code != nethttp.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered %d %v", w.Code, w.Header())
	}
	if n := s.handlers.Load(); n != maxHandlers {
		t.Errorf("%d requests are counted after it", n)
	}
}
