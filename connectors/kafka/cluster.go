package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

const plainMechanism = "PLAIN"

// openTimeout bounds how long opening a source or sink may take; later outages are ridden out.
const openTimeout = 15 * time.Second

// cluster is what a client needs to know to reach the brokers.
type cluster struct {
	brokers []string
	tls     *transport.TLS
	sasl    *SASL
	dir     string
}

func (c *Cluster) options(b *config.Builder) cluster {
	return cluster{brokers: c.Brokers, tls: c.TLS, sasl: c.SASL, dir: b.Dir}
}

// identity tells clusters apart for sharing clients.
func (c *cluster) identity() string {
	parts := append(slices.Sorted(slices.Values(c.brokers)), "", c.tls.Identity(c.dir), "")
	if c.sasl != nil {
		parts = append(parts, c.sasl.Mechanism, c.sasl.Username, c.sasl.Password.Reveal())
	}
	return strings.Join(parts, "\x00")
}

// transactionWith says with what the cluster's transactions can be shared: the same brokers, reached in the same way.
func (c *cluster) transactionWith(terms string) config.Transaction {
	sum := sha256.Sum256([]byte(c.identity()))
	return config.Transaction{Where: "kafka " + hex.EncodeToString(sum[:]), Show: "kafka at " + c.names(), Terms: terms}
}

// address is a topic as flow.Traits name places.
func (c *cluster) address(topic string) string {
	return "kafka:" + strings.Join(slices.Sorted(slices.Values(c.brokers)), ",") + "/" + topic
}

// names are the brokers as messages to people show them.
func (c *cluster) names() string { return strings.Join(c.brokers, ", ") }

// clientOptions are what every client of the cluster has in common. The client holds the gates of the process until it is closed; release is
// for one that could not be made.
func (c *cluster) clientOptions(host flow.Host, log *quiet) (opts []kgo.Opt, release func() error, err error) {
	gates, release, err := transport.ShareGates(host)
	if err != nil {
		return nil, nil, err
	}
	if opts, err = c.optionsThrough(gates, host, log); err != nil {
		return nil, nil, errors.Join(err, release())
	}
	return append(opts, kgo.WithHooks(closing(release))), release, nil
}

// optionsThrough are the options of a client whose maker holds the gates for as long as it lives.
func (c *cluster) optionsThrough(gates *transport.Gates, host flow.Host, log *quiet) ([]kgo.Opt, error) {
	if len(c.brokers) == 0 {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "no brokers to connect to")
	}
	w, err := c.way()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.brokers...),
		kgo.ClientID("millstream." + host.Pipeline() + "." + host.Name()),
		kgo.WithLogger(log), kgo.WithHooks(log),
		kgo.DisableClientMetrics(),
		// Where a broker is back, or a partition has another leader, is looked up once a second at most; by default it is once in five.
		kgo.MetadataMinAge(time.Second),
		kgo.RetryBackoffFn(backoff),
		kgo.RequestTimeoutOverhead(silence),
		kgo.Dialer(dialer(gates, w)),
	}
	if c.sasl != nil {
		opts = append(opts, kgo.SASL(c.sasl.mechanism()))
	}
	return opts, nil
}

func (s *SASL) mechanism() sasl.Mechanism {
	user, password := s.Username, s.Password.Reveal()
	switch s.Mechanism {
	case plainMechanism:
		return plain.Auth{User: user, Pass: password}.AsMechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	default:
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
	}
}

// backoff is the pause after so many failures in a row: a second at most, so that a broker that is back is found soon, a fifth of it more or
// less at random, so that not all clients come at once.
func backoff(fails int) time.Duration {
	most := min(250*time.Millisecond<<min(max(fails, 1)-1, 2), time.Second)
	return most*4/5 + rand.N(most*2/5) //nolint:gosec // jitter needs no secrecy
}

// checkOpen makes sure that the brokers answer, let us in, and have the topics.
func (c *cluster) checkOpen(ctx context.Context, client *kgo.Client, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return c.openError(err)
	}
	if len(topics) == 0 {
		return nil
	}
	// A topic that was just created is not known to each broker at once.
	for try := 0; ; try++ {
		err := c.checkTopics(ctx, client, topics)
		if err == nil || !unknownTopic(err) || try == 3 {
			return err
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// measure counts the brokers and the partitions of the topics; what cannot be told counts as one.
func (c *cluster) measure(ctx context.Context, client *kgo.Client, topics *selection) (brokers, partitions int) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	request := metadataOf(topics.names)
	if len(topics.patterns) > 0 {
		request.Topics = nil // all of them
	}
	resp, err := request.RequestWith(ctx, client)
	if err != nil {
		return 1, 1
	}
	for i := range resp.Topics {
		if topics.reads(deref(resp.Topics[i].Topic)) {
			partitions += len(resp.Topics[i].Partitions)
		}
	}
	return max(1, len(resp.Brokers)), max(1, partitions)
}

func metadataOf(topics []string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func (c *cluster) checkTopics(ctx context.Context, client *kgo.Client, topics []string) error {
	resp, err := metadataOf(topics).RequestWith(ctx, client)
	if err != nil {
		return c.openError(err)
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !kerr.IsRetriable(err) || unknownTopic(err) {
			return classify(fmt.Errorf("topic %q at %s: %w", deref(t.Topic), c.names(), err))
		}
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// openError names the brokers in what went wrong.
func (c *cluster) openError(err error) error {
	e := classify(err)
	switch {
	case transport.Failure(err):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "TLS with %s failed: %w", c.names(), err)
	case e.Class == flow.ConfigError && isAny(err, kerr.IllegalSaslState):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "the broker at %s takes no SASL there: take sasl away, or the port that wants it: %w", c.names(), err)
	case wantsTLS(err):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "the broker at %s wants TLS, and there is no tls: %w", c.names(), err)
	case c.seemsToWant(err) != "":
		return flow.Errorf(flow.Transient, flow.CodeAuth, "the broker at %s closed the connection at once; it seems to want %s: %w", c.names(), c.seemsToWant(err), err)
	case e.Class == flow.Transient:
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "no broker answers at %s: %w", c.names(), err)
	}
	return flow.Errorf(e.Class, e.Code, "connect to %s: %w", c.names(), err)
}

// wantsTLS tells whether a broker has answered in TLS to what was none.
func wantsTLS(err error) bool { return strings.Contains(err.Error(), "tls alert record") }

// seemsToWant says what a broker seems to want that closed the connection at once; empty when it did something else. One that stops does so, too.
func (c *cluster) seemsToWant(err error) string {
	var early *kgo.ErrFirstReadEOF
	switch {
	case !errors.As(err, &early):
		return ""
	case c.tls != nil:
		return "no TLS"
	case c.sasl == nil:
		return "SASL or TLS"
	}
	return "TLS"
}

// settingsOf asks for the largest batch that a topic takes. ok is false when the broker does not tell: it may need a permission.
func settingsOf(ctx context.Context, client *kgo.Client, topic string) (s topicSettings, ok bool) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{"max.message.bytes", "cleanup.policy"}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return topicSettings{}, false
	}
	for _, r := range resp.Resources {
		for _, entry := range r.Configs {
			switch n, err := strconv.ParseInt(deref(entry.Value), 10, 32); {
			case r.ErrorCode != 0:
			case err == nil && entry.Name == "max.message.bytes":
				s.limit, ok = int32(min(max(n, 512), 1<<30)), true
			case entry.Name == "cleanup.policy":
				s.compacted = strings.Contains(deref(entry.Value), "compact")
			}
		}
	}
	return s, ok
}
