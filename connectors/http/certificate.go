package http

import (
	"crypto/tls"
	"errors"
	"os"
	"sync"
	"time"
)

// recheck is how often a certificate's files are looked at, at most.
const recheck = 30 * time.Second

// certificate is read again when its files have changed. A pair that cannot be read, or does not fit together while somebody is just
// writing it, leaves the one in use.
type certificate struct {
	files files

	mu      sync.Mutex
	pair    *tls.Certificate
	looked  time.Time
	changed [2]time.Time
}

func (c *certificate) get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.pair != nil && now.Sub(c.looked) < recheck {
		return c.pair, nil
	}
	c.looked = now
	changed, err := c.modified()
	if err == nil && (c.pair == nil || changed != c.changed) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.files.cert, c.files.key); err == nil {
			c.pair, c.changed = &pair, changed
		}
	}
	if c.pair == nil {
		return nil, err
	}
	return c.pair, nil
}

func (c *certificate) modified() (at [2]time.Time, err error) {
	cert, err1 := os.Stat(c.files.cert)
	key, err2 := os.Stat(c.files.key)
	if err := errors.Join(err1, err2); err != nil {
		return at, err
	}
	return [2]time.Time{cert.ModTime(), key.ModTime()}, nil
}
