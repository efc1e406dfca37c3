package kafka

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
)

const (
	// silence is how long a broker may take for an answer beyond what the request lets it wait: the client gives the connection up then and
	// asks again. Replicas that need two seconds, or a broker that stands still for as long, are waited for.
	silence = 2500 * time.Millisecond
	// replicaWait is how long a broker waits for the replicas of a batch before it says so. The batch is written by then: the client sends it
	// again under the same number, and the broker waits on.
	replicaWait = time.Second
	// dialTimeout bounds one attempt to connect. A system asks two times for a connection in that time.
	dialTimeout = 3 * time.Second
)

// keepAlive finds out within some five seconds that the broker's machine is gone, also while a request waits that may wait for long.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}

// way is how the cluster's brokers are reached.
func (c *cluster) way() (transport.Way, error) {
	settings, err := c.tls.Config(c.dir)
	if err != nil {
		return transport.Way{}, flow.Errorf(flow.ConfigError, flow.CodeMissing, "%w", err)
	}
	as := sha256.Sum256([]byte(c.identity()))
	w := transport.Way{
		As: string(as[:]), Patience: silence, Dial: (&net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}).DialContext,
	}
	switch {
	case settings != nil:
		w.Secure = secure(settings)
	case c.sasl != nil && c.sasl.Mechanism == plainMechanism:
		w.Dial = transport.DialLoopback
	}
	return w, nil
}

// dialer connects through the gates of the process.
func dialer(gates *transport.Gates, w transport.Way) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return gates.Dial(ctx, w, network, address)
	}
}

func secure(settings *tls.Config) func(context.Context, net.Conn, string) (net.Conn, error) {
	return func(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
		c := settings.Clone()
		if c.ServerName == "" {
			c.ServerName = transport.HostOf(address)
		}
		if len(c.Certificates) > 0 {
			// Shown also to a broker that names other authorities: it says no then, and does not take us for nobody.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificates[0], nil }
		}
		private := tls.Client(conn, c)
		if err := private.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return private, nil
	}
}

// closing is told when a client has been closed.
type closing func() error

// OnClientClosed implements kgo.HookClientClosed.
func (release closing) OnClientClosed(*kgo.Client) { _ = release() } // gates have nothing to say when they are left
