package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

const (
	heartbeat   = 10 * time.Second
	openTimeout = 15 * time.Second
)

// dialer opens connections to the first node that takes one.
type dialer struct {
	urls     []config.Secret
	tls      *transport.TLS
	dir      string
	external bool
}

func (c *Broker) dialer(b *config.Builder) dialer {
	return dialer{urls: c.urls(), tls: c.TLS, dir: b.Dir, external: c.external()}
}

// users are the names that the URLs log in with.
func (c *Broker) users() []string {
	var all []string
	if c.external() {
		return nil // the certificate names it
	}
	for _, u := range c.urls() {
		if parsed, err := amqp.ParseURI(u.Reveal()); err == nil {
			all = append(all, parsed.Username)
		}
	}
	return all
}

// dial connects; name is shown in the broker's console.
func (d *dialer) dial(ctx context.Context, name string) (*amqp.Connection, error) {
	if len(d.urls) == 0 {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "no url to connect to")
	}
	settings, err := d.tls.Config(d.dir)
	if err != nil {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "%w", err)
	}
	if settings == nil {
		settings = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	var failures []error
	for _, u := range d.urls {
		conn, err := d.dialOne(ctx, u.Reveal(), name, settings)
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, worst(failures)
}

// worst is the one failure, or all of them as a passing one: another node may be back soon.
func worst(failures []error) error {
	if len(failures) == 1 {
		return failures[0]
	}
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "no node takes the connection: %w", errors.Join(failures...))
}

func (d *dialer) dialOne(ctx context.Context, url, name string, settings *tls.Config) (*amqp.Connection, error) {
	parsed, err := amqp.ParseURI(url)
	if err != nil {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "the URL cannot be read")
	}
	c := settings.Clone()
	if c.ServerName == "" {
		c.ServerName = parsed.Host
	}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	var login []amqp.Authentication // nil: with the user and password of the URL
	if d.external {
		login = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	conn, err := amqp.DialConfig(url, amqp.Config{
		SASL: login, Heartbeat: heartbeat, TLSClientConfig: c, Properties: properties, Locale: "en_US",
		Dial: func(network, address string) (net.Conn, error) {
			nd := net.Dialer{Timeout: transport.DialTimeout}
			conn, err := nd.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			// The library takes the deadline away once the handshake is through.
			return conn, conn.SetDeadline(time.Now().Add(openTimeout))
		},
	})
	if err != nil {
		return nil, dialError(err, fmt.Sprintf("%s:%d", parsed.Host, parsed.Port), parsed.Vhost)
	}
	return conn, nil
}

// dialError classifies why a connection was not opened. The URL's user and password are not in it.
func dialError(err error, address, vhost string) error {
	var said *amqp.Error
	var network net.Error
	switch {
	case transport.Failure(err):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "TLS with %s failed: %w", address, err)
	case errors.As(err, &network):
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "no broker answers at %s: %w", address, err)
	case errors.Is(err, amqp.ErrSASL):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "%s does not take this way of logging in (auth); RabbitMQ takes external with the plugin rabbitmq_auth_mechanism_ssl", address)
	case errors.Is(err, amqp.ErrCredentials):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "%s refuses the user or the password", address)
	case errors.As(err, &said) && (said.Code == amqp.AccessRefused || said.Code == amqp.NotAllowed):
		if strings.Contains(said.Reason, "not found") {
			return flow.Errorf(flow.ConfigError, flow.CodeMissing, "%s has no vhost %q: %s", address, vhost, said.Reason)
		}
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "%s lets the user not into vhost %q: %s", address, vhost, said.Reason)
	}
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "no broker answers at %s: %w", address, err)
}

// channelError classifies the broker's reason for closing a channel.
func channelError(err error) *flow.Error {
	var said *amqp.Error
	if !errors.As(err, &said) {
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%w", err)
	}
	class, code := flow.Transient, flow.CodeUnavailable
	switch said.Code {
	case amqp.NotFound:
		class, code = flow.ConfigError, flow.CodeMissing
	case amqp.AccessRefused, amqp.NotAllowed:
		class, code = flow.ConfigError, flow.CodeAuth
	case amqp.PreconditionFailed, amqp.ResourceLocked, amqp.NotImplemented:
		class, code = flow.ConfigError, flow.CodeRefused
	case amqp.ContentTooLarge:
		class, code = flow.Permanent, flow.CodeTooLarge
	}
	return flow.Errorf(class, code, "the broker says: %d %s", said.Code, said.Reason)
}

// longestPause between attempts keeps the work of a lost broker small, and is short enough to be back soon after it.
const longestPause = 3 * time.Second

// backoff waits longer from attempt to attempt, 100 ms to longestPause with jitter. It reports false when the wait was cut short.
func backoff(attempt int, done <-chan struct{}) bool {
	d := min(100*time.Millisecond<<min(attempt, 10), longestPause)
	d = d/2 + rand.N(d/2) //nolint:gosec // jitter needs no secrecy
	select {
	case <-time.After(d):
		return true
	case <-done:
		return false
	}
}
