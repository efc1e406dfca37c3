package kafka

import (
	"fmt"
	"strings"
	"time"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
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
	// Topics are the topics to read; they must exist. What stands between slashes, such as /orders-.+/, is a pattern that must match the
	// whole name of a topic: new topics that match are found within 10 s. Where there are several topics or a pattern, expressions see
	// source.several_topics as true, and a sink with one destination writes each message's topic to the header millstream-src-address.
	Topics []string `yaml:"topics" required:"true"`
	// Group is the consumer group that shares the partitions and keeps the offsets.
	Group string `yaml:"group" required:"true"`
	// Start is where a group begins that has committed nothing yet: earliest (the oldest record that is kept) or latest (what comes
	// from now on).
	Start string `yaml:"start" default:"earliest" oneof:"earliest latest"`
	// Balance is how the group shares partitions when members come and go: cooperative (only what moves stops) or eager (all let go of
	// everything first), which the group's other members must agree to: sticky, roundrobin or range.
	Balance string `yaml:"balance" default:"cooperative" oneof:"cooperative eager"`
	// Isolation says whether records of open and aborted transactions are read too.
	Isolation string `yaml:"isolation" default:"read_committed" oneof:"read_committed read_uncommitted"`
	// SessionTimeout is how long a member that is silent keeps its partitions; one that comes back earlier under its name goes on at once.
	SessionTimeout time.Duration `yaml:"session_timeout" default:"45s"`
	// OnStop is what a stop does with the partitions: leave hands them to the other members, stay keeps them for a restart within
	// session_timeout.
	OnStop string `yaml:"on_stop" default:"leave" oneof:"leave stay"`
	// Driver is native, or watermill: the stock module watermill-kafka, which reads one record of a partition after another.
	Driver string `yaml:"driver" default:"native" oneof:"native watermill"`
}

// Sink is the configuration of a sink.
type Sink struct {
	Cluster `yaml:",inline"`
	// Topic is the topic to write to; it must exist, unless create is written.
	Topic config.Template `yaml:"topic" required:"true"`
	// Allow are globs that a topic made of the message must match: orders.*, dead-?.
	Allow []string `yaml:"allow"`
	// Key overrides the message's own key: text, bytes, an int, a bool, or nil for none.
	Key config.Expression `yaml:"key"`
	// Partition is the number of the partition, from 0. Left out: the hash of the key decides, as in Kafka's own clients.
	Partition config.Expression `yaml:"partition"`
	// Compression is how batches are compressed.
	Compression string `yaml:"compression" default:"none" oneof:"none gzip snappy lz4 zstd"`
	// Create makes topics that do not exist.
	Create *Create `yaml:"create"`
	// MaxTopics is to how many different topics a template may lead; messages for more of them are refused.
	MaxTopics int `yaml:"max_topics" default:"1000"`
	// CloudEvents writes bodies that are CloudEvents as the Kafka binding of CloudEvents says: binary (attributes become headers ce_NAME,
	// data the value) or structured (the event is the value, with its content type).
	CloudEvents string `yaml:"cloudevents" oneof:"binary structured"`
	// Driver is native, or watermill: the stock module watermill-kafka, which writes one record after another.
	Driver string `yaml:"driver" default:"native" oneof:"native watermill"`
}

// Create is how topics are made.
type Create struct {
	// Partitions of a new topic; left out, the broker's default.
	Partitions int32 `yaml:"partitions"`
	// Replication is how many brokers keep each partition; left out, the broker's default.
	Replication int16 `yaml:"replication"`
	// Config are settings of the topic, such as cleanup.policy: compact.
	Config map[string]string `yaml:"config"`
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
	if c.SessionTimeout < time.Second || c.SessionTimeout > 30*time.Minute {
		transport.Finding(b, "session_timeout", "session_timeout must be from 1s to 30m", "45s is what brokers suggest")
	}
	topics := selectTopics(b, c.Topics)
	cluster := c.options(b)
	open := c.open(cluster, topics)
	if c.checkDriver(b); c.Driver == watermill.Driver {
		open = c.openStock(cluster, topics)
	}
	if b.ExactlyOnce {
		open = c.openTransactor(cluster, topics)
		if c.Isolation == "read_uncommitted" {
			transport.Finding(b, "isolation", "exactly_once reads committed records only", "leave isolation out")
		}
	}
	return config.Source{
		Traits: flow.Traits{Keyed: true, Headers: true, Single: true},
		Open:   open, Connect: c.connect(cluster, topics), Transaction: cluster.transactionWith(""), Extra: topics.extra(),
		Reads: func(address string) bool {
			topic, ok := strings.CutPrefix(address, cluster.address(""))
			return ok && topics.reads(topic)
		},
	}
}

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	c.check(b)
	transport.CheckGlobs(b, c.Allow)
	p := c.preparer(b)
	c.checkRest(b)
	cluster := c.options(b)
	traits := flow.Traits{Keyed: true, Headers: true}
	if p.constant != "" {
		traits.Address = cluster.address(p.constant)
	}
	open := c.open(cluster, p)
	if c.checkDriver(b); c.Driver == watermill.Driver {
		open = c.openStock(cluster, p)
	}
	return config.Sink{
		Traits: traits, Preparer: p, Open: open, Connect: c.connect(cluster, p),
		Transaction: cluster.transactionWith("compression: " + c.Compression),
	}
}

// checkRest adds what is wrong with how topics are made and counted.
func (c *Sink) checkRest(b *config.Builder) {
	if c.MaxTopics < 1 {
		transport.Finding(b, "max_topics", "max_topics must be at least 1", "leave it out for 1000")
	}
	if c.Create != nil && (c.Create.Partitions < 0 || c.Create.Replication < 0) {
		transport.Finding(b, "create", "a topic has at least one partition and one replica", "leave them out for the broker's defaults")
	}
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
