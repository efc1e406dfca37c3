package kafka

import (
	"fmt"
	"path"
	"strings"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Cluster are the options of a connection, which source and sink share.
type Cluster struct {
	// Brokers are addresses host:port to begin with; the others of the cluster are found through them.
	Brokers []string `yaml:"brokers" required:"true"`
	// TLS switches TLS on; tls: {} trusts the system's authorities.
	TLS *transport.TLS `yaml:"tls"`
	// SASL says how to log in; left out: not at all.
	SASL *SASL `yaml:"sasl"`
}

// SASL is a user with a password.
type SASL struct {
	// Mechanism is how the password is proved. PLAIN sends it as it is, so it needs TLS unless the brokers are on this machine.
	Mechanism string `yaml:"mechanism" required:"true" oneof:"PLAIN SCRAM-SHA-256 SCRAM-SHA-512"`
	// Username is the user's name.
	Username string `yaml:"username" required:"true"`
	// Password is never shown.
	Password config.Secret `yaml:"password" required:"true"`
}

// Source is the configuration of a source.
type Source struct {
	Cluster `yaml:",inline"`
	// Topics are the topics to read; they must exist.
	Topics []string `yaml:"topics" required:"true"`
	// Group is the consumer group that shares the partitions and keeps the offsets.
	Group string `yaml:"group" required:"true"`
	// Start is where a group begins that has committed nothing yet: earliest (the oldest record that is kept) or latest (what comes
	// from now on).
	Start string `yaml:"start" default:"earliest" oneof:"earliest latest"`
}

// Sink is the configuration of a sink.
type Sink struct {
	Cluster `yaml:",inline"`
	// Topic is the topic to write to; it must exist.
	Topic config.Template `yaml:"topic" required:"true"`
	// Allow are globs that a topic made of the message must match: orders.*, dead-?.
	Allow []string `yaml:"allow"`
	// Key overrides the message's own key: text, bytes, an int, a bool, or nil for none.
	Key config.Expression `yaml:"key"`
	// Partition is the number of the partition, from 0. Left out: the hash of the key decides, as in Kafka's own clients.
	Partition config.Expression `yaml:"partition"`
	// Compression is how batches are compressed.
	Compression string `yaml:"compression" default:"none" oneof:"none gzip snappy lz4 zstd"`
}

// check adds what is wrong with the connection's options.
func (c *Cluster) check(b *config.Builder) {
	transport.CheckTLS(b, c.TLS)
	if len(c.Brokers) == 0 && writtenEmpty(b, "brokers") {
		transport.Finding(b, "brokers", "brokers is empty", "write brokers: [host:9092]")
	}
	for _, broker := range c.Brokers {
		if broker == "" {
			transport.Finding(b, "brokers", "a broker is empty", "write brokers: [host:9092]")
		}
		if strings.Contains(broker, "://") || strings.ContainsAny(broker, " /@") {
			transport.Finding(b, "brokers", fmt.Sprintf("%q is no host:port", broker), "write brokers: [host:9092]")
		}
	}
	if c.SASL == nil || c.SASL.Mechanism != plainMechanism || c.TLS != nil {
		return
	}
	for _, broker := range c.Brokers {
		if !transport.Loopback(transport.HostOf(broker)) {
			transport.Finding(b, "sasl", "PLAIN sends the password in clear text to "+broker, "add tls: {}, or use SCRAM-SHA-512")
			return
		}
	}
}

// writtenEmpty tells whether a list was written with nothing in it. An undefined variable may leave one empty too; that is no finding
// where variables may be undefined.
func writtenEmpty(b *config.Builder, option string) bool {
	if b.Value == nil {
		return true
	}
	for _, e := range b.Value.Entries() {
		if e.Key.Text == option {
			return len(e.Value.Items()) == 0
		}
	}
	return false
}

// writtenAs tells whether an option is written as that text.
func writtenAs(b *config.Builder, option, text string) bool {
	if b.Value == nil {
		return false
	}
	for _, e := range b.Value.Entries() {
		if e.Key.Text == option {
			return e.Value.Kind() == yamldoc.KindScalar && e.Value.Scalar().Text == text
		}
	}
	return false
}

// BuildSource implements config.SourceConfig.
func (c *Source) BuildSource(b *config.Builder) config.Source {
	c.check(b)
	if len(c.Topics) == 0 && writtenEmpty(b, "topics") {
		transport.Finding(b, "topics", "topics is empty", "write topics: [name]")
	}
	if c.Group == "" && writtenAs(b, "group", "") {
		transport.Finding(b, "group", "group is empty", "write the name of a consumer group")
	}
	for _, topic := range c.Topics {
		if err := checkTopic(topic); err != nil {
			transport.FindingWithCode(b, diag.BadName, "topics", err.Error(), topicHint)
		}
	}
	cluster := c.options(b)
	return config.Source{Traits: traits(), Open: c.open(cluster)}
}

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	c.check(b)
	transport.CheckGlobs(b, c.Allow)
	p := c.preparer(b)
	cluster := c.options(b)
	return config.Sink{Traits: traits(), Preparer: p, Open: c.open(cluster, p)}
}

const topicHint = "a topic's name has up to 249 letters, digits, dots, underscores and dashes"

// checkTopic checks a name as the broker does (Kafka's Topic.validate).
func checkTopic(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the topic's name is empty")
	case name == "." || name == "..":
		return fmt.Errorf("a topic can not be named %q", name)
	case len(name) > maxTopic:
		return fmt.Errorf("the topic's name has %d bytes, the most is %d", len(name), maxTopic)
	}
	for i := range len(name) {
		if !legalInTopic(name[i]) {
			return fmt.Errorf("the topic's name %q holds %q", name, name[i:i+1])
		}
	}
	return nil
}

const maxTopic = 249

func legalInTopic(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// matches tells whether a name matches one of the globs.
func matches(globs []string, name string) bool {
	for _, g := range globs {
		if ok, err := path.Match(g, name); err == nil && ok {
			return true
		}
	}
	return false
}
