package proxy

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// pair is a client's connection and the one to the server that belongs to it.
type pair struct {
	client net.Conn

	mu     sync.Mutex
	server net.Conn
	silent bool
	mute   bool // what the server says does not pass
	cut    int  // bytes to the server until the end; -1 is no end
	over   bool
	ended  chan struct{}
}

// join adds the connection to the server; false when the client's has ended meanwhile.
func (c *pair) join(server net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		_ = server.Close()
		return false
	}
	c.server = server
	return true
}

func (c *pair) silence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = true
}

func (c *pair) muffle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = true
}

// isSilent tells whether nothing passes any more in that direction.
func (c *pair) isSilent(up bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silent || c.mute && !up
}

func (c *pair) cutAfter(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = n
}

// upTo is what of b may still pass, and whether that is the last.
func (c *pair) upTo(b []byte, up bool) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !up || c.cut < 0 {
		return b, false
	}
	if len(b) >= c.cut {
		return b[:c.cut], true
	}
	c.cut -= len(b)
	return b, false
}

// sleep waits, but not for a pair that has ended.
func (c *pair) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-c.ended:
	}
}

func (c *pair) reset() { c.end(true) }

func (c *pair) close() { c.end(false) }

func (c *pair) end(hard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	close(c.ended)
	for _, conn := range []net.Conn{c.client, c.server} {
		if conn == nil {
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok && hard {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// rewriter replaces text in a stream that comes in pieces.
type rewriter struct {
	old, new []byte
	held     []byte // the beginning of what may be old
}

// patience is when what is held back must go on although nothing more has come; never, when nothing is.
func (r *rewriter) patience() time.Time {
	if len(r.held) == 0 {
		return time.Time{}
	}
	return time.Now().Add(20 * time.Millisecond)
}

// do returns what can be handed over; last lets nothing be held back.
func (r *rewriter) do(b []byte, last bool) []byte {
	if len(r.old) == 0 {
		return b
	}
	all := bytes.ReplaceAll(append(r.held, b...), r.old, r.new)
	keep := 0
	for n := min(len(r.old)-1, len(all)); n > 0 && !last; n-- {
		if bytes.HasPrefix(r.old, all[len(all)-n:]) {
			keep = n
			break
		}
	}
	r.held = bytes.Clone(all[len(all)-keep:])
	return all[:len(all)-keep]
}
