// Package proxy is a TCP proxy on the loopback interface that behaves as badly as networks do: it delays, resets, falls silent, cuts a
// connection in the middle of a frame, hands over byte by byte, and narrows. It knows no protocol. It is part of a test kit and no part of
// the product.
package proxy

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// Shape is how what passes is treated. The zero value lets all pass as it comes.
type Shape struct {
	// Latency holds up each piece for that long, Jitter for up to so much more or less.
	Latency, Jitter time.Duration
	// Piece is how many bytes are handed over at a time; 0 is as they come.
	Piece int
	// Rate is how many bytes pass in a second and direction; 0 is as many as come.
	Rate int
}

// Proxy passes connections on to a server.
type Proxy struct {
	target   string
	listener net.Listener

	mu       sync.Mutex
	shape    Shape
	rand     *rand.Rand
	pairs    map[*pair]bool
	deaf     bool // what connects is accepted, and nothing is read
	accepted int
	old, new []byte // in what the server says
	wg       sync.WaitGroup
}

// New makes a proxy for a server's address. The seed decides about jitter.
func New(ctx context.Context, target string, seed uint64) (*Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: l, pairs: map[*pair]bool{}, rand: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // no secret
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Replace writes something else of the same length where the server says old, in connections that come later: the address, say, that it
// tells its clients to come back to.
func (p *Proxy) Replace(old, instead []byte) error {
	if len(old) != len(instead) || len(old) == 0 {
		return errors.New("what replaces something must be as long")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.old, p.new = bytes.Clone(old), bytes.Clone(instead)
	return nil
}

// Set gives a shape to all connections, also those that are open.
func (p *Proxy) Set(s Shape) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shape = s
}

// Reset ends all connections with a reset (RST) on both sides.
func (p *Proxy) Reset() { p.each((*pair).reset) }

// Silence lets nothing of the connections that are open pass any more, for good, and keeps them open: they are half-open. New ones work.
func (p *Proxy) Silence() { p.each((*pair).silence) }

// Mute lets nothing pass any more that the server says on the connections that are open, for good; it hears its clients still. Silence makes
// them half-open afterwards. New ones work.
func (p *Proxy) Mute() { p.each((*pair).muffle) }

// Deafen silences those that are open and with those that come, too, until Hear.
func (p *Proxy) Deafen() {
	p.mu.Lock()
	p.deaf = true
	p.mu.Unlock()
	p.Silence()
}

// Hear ends Deafen for connections that come later.
func (p *Proxy) Hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = false
}

// CutAfter ends each connection that is open with a reset once n more bytes have passed to the server, wherever in a frame that is.
func (p *Proxy) CutAfter(n int) { p.each(func(c *pair) { c.cutAfter(n) }) }

// Accepted is how many connections have come so far.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Close ends all and waits for it.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Reset()
	p.wg.Wait()
}

func (p *Proxy) each(do func(*pair)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		do(c)
	}
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(conn) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	c := &pair{client: client, ended: make(chan struct{}), cut: -1}
	p.mu.Lock()
	p.accepted++
	c.silent = p.deaf
	rewrite := rewriter{old: p.old, new: p.new}
	p.pairs[c] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		c.reset()
		return
	}
	if !c.join(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(c, client, server, true, rewriter{}) })
	both.Go(func() { p.pass(c, server, client, false, rewrite) })
	both.Wait()
}

// chunk is what was read at once, and when it is to be handed over.
type chunk struct {
	b   []byte
	due time.Time
}

// pass hands over what one side says to the other.
func (p *Proxy) pass(c *pair, from, to net.Conn, up bool, rewrite rewriter) {
	defer c.close()
	chunks := make(chan chunk, 64)
	go func() {
		defer close(chunks)
		for err := error(nil); err == nil; {
			b, n := make([]byte, 16<<10), 0
			_ = from.SetReadDeadline(rewrite.patience())
			n, err = from.Read(b)
			whole := err != nil
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
			select {
			case chunks <- chunk{b: rewrite.do(b[:n], whole), due: time.Now().Add(p.latency())}:
			case <-c.ended:
				return
			}
		}
	}()
	for k := range chunks {
		c.sleep(time.Until(k.due))
		if !p.hand(c, to, k.b, up) {
			return
		}
	}
	if c.isSilent(up) {
		<-c.ended
	}
}

// hand hands over b in the pieces that the shape wants; false when that was the end.
func (p *Proxy) hand(c *pair, to net.Conn, b []byte, up bool) bool {
	for len(b) > 0 {
		n, wait := p.piece(len(b))
		c.sleep(wait)
		if c.isSilent(up) {
			<-c.ended // neither read nor closed
			return false
		}
		piece, last := c.upTo(b[:n], up)
		b = b[n:]
		if _, err := to.Write(piece); err != nil || last {
			c.reset()
			return false
		}
	}
	return true
}

func (p *Proxy) latency() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := p.shape.Latency
	if p.shape.Jitter > 0 {
		wait += time.Duration(p.rand.Int64N(int64(2*p.shape.Jitter))) - p.shape.Jitter
	}
	return wait
}

// piece is how many of n bytes to hand over next, and how long to wait before.
func (p *Proxy) piece(n int) (int, time.Duration) {
	p.mu.Lock()
	s := p.shape
	p.mu.Unlock()
	if s.Piece > 0 {
		n = min(n, s.Piece)
	}
	if s.Rate == 0 {
		return n, 0
	}
	n = min(n, max(1, s.Rate/100))
	return n, time.Duration(n) * time.Second / time.Duration(s.Rate)
}
