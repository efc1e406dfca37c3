package http

import (
	"net"
	"sync"
	"time"
)

// bounded is a listener with a most of connections: further ones wait to be accepted.
type bounded struct {
	net.Listener
	free chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	b.free <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.free
		return nil, err
	}
	return &boundedConn{Conn: c, free: b.free}, nil
}

// boundedConn is a connection whose deadlines cost little. net/http sets several for reading per request, most of which are replaced before
// anybody reads: they are passed on only when a read begins, or is under way. Each write has writeTimeout at least, twice that at
// most, so that a client that does not read its answers holds nothing up for long.
type boundedConn struct {
	net.Conn
	once sync.Once
	free chan struct{}

	mu      sync.Mutex
	wanted  time.Time // the deadline for reading
	inForce time.Time // what the connection was told last
	reads   int       // under way

	writeUntil time.Time // who writes is alone
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.free })
	return err
}

// SetReadDeadline implements net.Conn.
func (c *boundedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = t
	if c.reads == 0 {
		return nil
	}
	return c.enforce()
}

// SetDeadline implements net.Conn.
func (c *boundedConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// enforce tells the connection what is wanted; the lock is held.
func (c *boundedConn) enforce() error {
	if c.wanted.Equal(c.inForce) {
		return nil
	}
	c.inForce = c.wanted
	return c.Conn.SetReadDeadline(c.wanted)
}

// Read implements net.Conn.
func (c *boundedConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	c.reads++
	err := c.enforce()
	c.mu.Unlock()
	defer c.readDone()
	if err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *boundedConn) readDone() {
	c.mu.Lock()
	c.reads--
	c.mu.Unlock()
}

// Write implements net.Conn.
func (c *boundedConn) Write(b []byte) (int, error) {
	if now := time.Now(); c.writeUntil.Sub(now) < writeTimeout {
		c.writeUntil = now.Add(2 * writeTimeout)
		if err := c.Conn.SetWriteDeadline(c.writeUntil); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}
