package http

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// recheck is how often a listener's files are looked at, at most.
const recheck = 30 * time.Second

// certificate is what a listener's files say. They are read again when one of them has changed. What cannot be read, or does not fit
// together while somebody is just writing it, leaves what is in use.
type certificate struct {
	files files

	mu      sync.Mutex
	config  *tls.Config
	looked  time.Time
	changed [3]time.Time
}

func (c *certificate) get() (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.config != nil && now.Sub(c.looked) < recheck {
		return c.config, nil
	}
	c.looked = now
	changed, err := c.files.modified()
	if err == nil && (c.config == nil || changed != c.changed) {
		var config *tls.Config
		if config, err = c.files.read(); err == nil {
			c.config, c.changed = config, changed
		}
	}
	if c.config == nil {
		return nil, err
	}
	return c.config, nil
}

// files are where the certificates of a listener are; the zero value is no TLS.
type files struct{ cert, key, clientCA string }

// modified is when the files were written.
func (f files) modified() (at [3]time.Time, err error) {
	for i, path := range []string{f.cert, f.key, f.clientCA} {
		if path == "" {
			continue
		}
		info, failed := os.Stat(path)
		if failed != nil {
			err = errors.Join(err, flow.Errorf(flow.ConfigError, flow.CodeMissing, "read the files of tls: %w", failed))
			continue
		}
		at[i] = info.ModTime()
	}
	return at, err
}

// read makes settings of the files. A failure is one of the configuration.
func (f files) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "read tls.cert and tls.key: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	if f.clientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(f.clientCA)
	if err != nil {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "read tls.client_ca: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "tls.client_ca %s holds no PEM certificate", f.clientCA)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.SessionTicketsDisabled = true // a session must not outlive the trust in who began it
	return c, nil
}

// load reads the files; nil without TLS.
func (f files) load() (*tls.Config, error) {
	if f == (files{}) {
		return nil, nil //nolint:nilnil // no files, no TLS
	}
	fresh := &certificate{files: f}
	first, err := fresh.get()
	if err != nil {
		return nil, err
	}
	c := first.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return fresh.get() }
	return c, nil
}
