package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

const (
	// defaultHeartbeat holds where no file says otherwise.
	defaultHeartbeat = time.Second
	// refusalTime is longer than RabbitMQ is silent before it closes the connection of somebody with a wrong password: 3 s.
	refusalTime = 4 * time.Second
	// openTimeout bounds one attempt to connect, and the first opening of a source or a sink.
	openTimeout = 15 * time.Second
)

// dialer opens connections to the first node that takes one. One goroutine uses it at a time.
type dialer struct {
	urls      []config.Secret
	tls       *transport.TLS
	dir       string
	external  bool
	heartbeat time.Duration
	patience  time.Duration // for each answer, when the last attempts were not patient enough; else 0
}

// connection is a connection to a broker with the wire below it.
type connection struct {
	*amqp.Connection
	wire *wire
}

// ask does something that waits for the broker's answers. The end of ctx ends the connection, so that nobody waits for them any more.
func (c *connection) ask(ctx context.Context, do func() error) error {
	keep := context.AfterFunc(ctx, c.wire.abort)
	defer keep()
	return do()
}

// goodbye ends a connection in the broker's presence: without an error, it has ended all that belonged to it.
func (c *connection) goodbye() error { return c.CloseDeadline(time.Now().Add(closeTimeout)) }

func (c *Broker) dialer(b *config.Builder) dialer {
	return dialer{urls: c.urls(), tls: c.TLS, dir: b.Dir, external: c.external(), heartbeat: c.Heartbeat}
}

// silence is how long an answer may take while a connection is opened.
func (d *dialer) silence() time.Duration {
	return min(max(patienceFactor*d.heartbeat, refusalTime, d.patience), openTimeout)
}

// tried makes the next attempt more patient when this one has ended since no answer came in time: a slow broker would else never be reached.
func (d *dialer) tried(err error) {
	var silent *silenceError
	switch {
	case err == nil:
		d.patience = 0
	case errors.As(err, &silent):
		d.patience = min(2*d.silence(), openTimeout)
	}
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
func (d *dialer) dial(ctx context.Context, name string) (*connection, error) {
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
	for i, u := range d.urls {
		conn, err := d.dialInTime(ctx, len(d.urls)-i, u.Reveal(), name, settings)
		if err == nil {
			d.tried(nil)
			return conn, nil
		}
		failures = append(failures, err)
	}
	err = worst(failures)
	d.tried(err)
	return nil, err
}

// dialInTime leaves the nodes that have not been tried yet their share of the time: one that is silent is not to use up all of it.
func (d *dialer) dialInTime(ctx context.Context, left int, url, name string, settings *tls.Config) (*connection, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return d.dialOne(ctx, url, name, settings)
}

// worst is the one failure. Of several nodes it is what all of them say, else a passing one: another node may be back soon.
func worst(failures []error) error {
	if len(failures) == 1 {
		return failures[0]
	}
	whole := failures[0]
	for _, err := range failures[1:] {
		whole = fmt.Errorf("%w; %w", whole, err)
	}
	first := flow.AsError(failures[0], flow.Transient, flow.CodeUnavailable)
	if !slices.ContainsFunc(failures, func(err error) bool {
		e := flow.AsError(err, flow.Transient, flow.CodeUnavailable)
		return e.Class != first.Class || e.Code != first.Code
	}) {
		return flow.Errorf(first.Class, first.Code, "no node takes the connection: %w", whole)
	}
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "no node takes the connection: %w", whole)
}

func (d *dialer) dialOne(ctx context.Context, url, name string, settings *tls.Config) (*connection, error) {
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
	var w *wire
	conn, err := amqp.DialConfig(url, amqp.Config{
		SASL: login, Heartbeat: d.heartbeat, TLSClientConfig: c, Properties: properties, Locale: "en_US",
		Dial: func(network, address string) (net.Conn, error) {
			opened, err := d.connect(ctx, network, address)
			if err != nil {
				return nil, err
			}
			w = opened
			return w, nil
		},
	})
	if w != nil && !w.keep() {
		_ = w.Close()
		return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "connect to %s:%d: %w", parsed.Host, parsed.Port, context.Cause(ctx))
	}
	if err != nil {
		if w != nil {
			_ = w.Close() // the library leaves it open when it does not like what the broker offers
		}
		return nil, dialError(err, w, parsed.Scheme, fmt.Sprintf("%s:%d", parsed.Host, parsed.Port), parsed.Vhost)
	}
	return &connection{conn, w}, nil
}

// connect opens the wire of a connection. Until it is kept, the end of ctx ends it.
func (d *dialer) connect(ctx context.Context, network, address string) (*wire, error) {
	nd := net.Dialer{Timeout: transport.DialTimeout}
	conn, err := nd.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	late := time.Now().Add(openTimeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(late) {
		late = deadline
	}
	return newWire(ctx, conn, d.silence(), late)
}

// patiently opens something for the first time: a broker that takes connections and says nothing may be about to start, and is tried again
// until ctx ends.
func patiently[T any](ctx context.Context, open func(context.Context) (T, error)) (T, error) {
	for {
		opened, err := open(ctx)
		var silent *silenceError
		if err == nil || !errors.As(err, &silent) || ctx.Err() != nil {
			return opened, err
		}
	}
}

// dialError classifies why a connection was not opened. The URL's user and password are not in it.
func dialError(err error, w *wire, scheme, address, vhost string) error {
	var said *amqp.Error
	var network net.Error
	var noTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &noTLS):
		return flow.Errorf(flow.ConfigError, flow.CodeRefused, "%s does not speak TLS: write amqp:// in the URL, or the port that speaks it (5671 as a rule): %w",
			address, err)
	case w.answersTLS() && scheme == "amqp":
		return flow.Errorf(flow.ConfigError, flow.CodeRefused, "%s seems to speak TLS: write amqps:// in the URL, or the port that does not (5672 as a rule)", address)
	case transport.Failure(err):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "TLS with %s failed: %w", address, err)
	case w.silent():
		// The library takes any end at the wrong moment for a refusal.
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "no broker answers at %s: %w", address, w.failure())
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
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "%s does not let the user into vhost %q: %s", address, vhost, said.Reason)
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
	e := flow.Errorf(class, code, "the broker says: %d %s", said.Code, said.Reason)
	if said.Code == amqp.ResourceLocked {
		e.Message += "; a queue that is exclusive can be used by the connection alone that made it"
	}
	e.Err = said
	return e
}
