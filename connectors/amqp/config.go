package amqp

import (
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Broker are the options of a connection, which source and sink share.
type Broker struct {
	// URL is amqp://user:password@host:port/vhost, or amqps:// for TLS. It is never shown.
	URL config.Secret `yaml:"url"`
	// URLs are the nodes of a cluster, tried in order; instead of url.
	URLs []config.Secret `yaml:"urls"`
	// TLS says which certificates to use with amqps.
	TLS *transport.TLS `yaml:"tls"`
	// Auth is plain, with the user and password of the URL, or external: the broker takes the user from the client's certificate (SASL
	// EXTERNAL), which tls.cert and tls.key give.
	Auth string `yaml:"auth" default:"plain" oneof:"plain external"`
	// Heartbeat is how often both sides say that they are there, at the least: whole seconds from 1s to 60s. A connection on which nothing has
	// come for three heartbeats is given up, by the broker after two to three. Write more where connections are given up that are only
	// slow. One in the URL, ?heartbeat=10, goes before it, and the broker may ask for a smaller one.
	Heartbeat time.Duration `yaml:"heartbeat" default:"1s"`
}

// Source is the configuration of a source.
type Source struct {
	Broker `yaml:",inline"`
	// Queue is the queue to consume. Expressions see source.exchange and source.routing_key, which the message was published with, and
	// of its properties those that it has: source.content_type, content_encoding, correlation_id, message_id, reply_to, type, app_id,
	// user_id, priority, expiration (in milliseconds) and persistent.
	Queue string `yaml:"queue" required:"true"`
	// Prefetch is how many deliveries may be unacknowledged. Left out, it goes by the size of the messages, so that these fit into
	// limits.in_flight_bytes, and is twice the largest batch at most; a consumer is then replaced by another one of the same
	// connection when the window has to change. Give a number for a queue with x-single-active-consumer, which the replacement
	// would hand to another process.
	Prefetch int `yaml:"prefetch"`
	// Declare creates the queue if it is missing. Left out: the queue must exist.
	Declare *Declare `yaml:"declare"`
	// MaxDeliveries fails a message that a quorum queue has delivered more often than that, with the class poison and the code deliveries,
	// so that on_error can send it where the dead letters go: a message that kills the process each time would come back for ever. 0 is no
	// limit. Classic queues do not count deliveries: they tell only whether a message was delivered before, so that 1 works with them
	// and more does not. validate knows the type only where declare says it.
	MaxDeliveries int `yaml:"max_deliveries"`
	// OnDrop is what the broker is told of a message that on_error or a drop sink drops: ack removes it, reject hands it to the queue's dead-letter
	// exchange, where it has one, with the broker's own x-death. What is left unsettled always goes back to the queue.
	OnDrop string `yaml:"on_drop" default:"ack" oneof:"ack reject"`
	// Driver is native, or watermill: the stock module watermill-amqp, which takes one message after another.
	Driver string `yaml:"driver" default:"native" oneof:"native watermill"`
}

// Sink is the configuration of a sink.
type Sink struct {
	Broker `yaml:",inline"`
	// Exchange is the exchange to publish to; "" is the default exchange, whose routing keys are the names of queues.
	Exchange config.Template `yaml:"exchange"`
	// RoutingKey is the routing key, at most 255 bytes.
	RoutingKey config.Template `yaml:"routing_key"`
	// Allow are globs that a routing key made of the message must match, or an exchange made of it.
	Allow []string `yaml:"allow"`
	// Mandatory makes a message that no queue takes an error of code unroutable. false: the broker drops it.
	Mandatory bool `yaml:"mandatory" default:"true"`
	// Declare creates the exchange if it is missing; its name is then without {{ }}. Left out: the exchange must exist.
	Declare *DeclareExchange `yaml:"declare"`
	// Properties override what the message brings along.
	Properties *Properties `yaml:"properties"`
	// ConfirmTimeout is how long the broker may take to confirm a message; the connection is then given up, and what it had is sent again.
	ConfirmTimeout time.Duration `yaml:"confirm_timeout" default:"30s"`
	// Driver is native, or watermill: the stock module watermill-amqp, which publishes one message after another. It cannot tell when no
	// queue takes a message, so it needs mandatory: false.
	Driver string `yaml:"driver" default:"native" oneof:"native watermill"`
}

// maxHeartbeat is the most that a file can say: beyond it a lost connection would go unnoticed for more than three minutes.
const maxHeartbeat = time.Minute

// check adds what is wrong with the connection's options.
func (c *Broker) check(b *config.Builder) {
	transport.CheckTLS(b, c.TLS)
	switch {
	case written(b, "url") && written(b, "urls"):
		transport.FindingWithCode(b, diag.ConflictingKey, "urls", "url and urls are both given", "keep one of them")
	case b.Value != nil && !written(b, "url") && !written(b, "urls"):
		transport.FindingWithCode(b, diag.MissingKey, "", `"url" is missing`, "write url: amqp://host:5672/")
	}
	if emptyText(b, "url") {
		transport.Finding(b, "url", "url is empty", "write amqp://user:password@host:5672/vhost")
	}
	if v := option(b, "urls"); v != nil && v.Kind() == yamldoc.KindSequence && len(v.Items()) == 0 {
		transport.Finding(b, "urls", "urls is empty", "write urls: [amqp://host:5672/]")
	}
	if c.external() && (c.TLS == nil || c.TLS.Cert == "") {
		transport.Finding(b, "auth", "auth: external needs a certificate to log in with", "write tls: {cert: file, key: file}")
	}
	if c.Heartbeat < defaultHeartbeat || c.Heartbeat > maxHeartbeat || c.Heartbeat%time.Second != 0 {
		transport.Finding(b, "heartbeat", "heartbeat must be whole seconds from 1s to 60s", "leave it out for 1s")
	}
	at := "url"
	if c.URL.IsZero() {
		at = "urls"
	}
	for _, u := range c.urls() {
		c.checkURL(b, at, u.Reveal())
	}
}

// checkURL adds what is wrong with one URL.
func (c *Broker) checkURL(b *config.Builder, at, url string) {
	parsed, err := amqp.ParseURI(url)
	if err != nil || unescaped(url) {
		transport.Finding(b, at, "the URL cannot be read",
			"write amqp://user:password@host:5672/vhost; in user, password and vhost write %40 for @, %2F for /, %23 for #, %25 for %, %3A for :")
		return
	}
	if inClear(url, &parsed) {
		transport.Finding(b, at, "the URL sends the password in clear text to "+parsed.Host, "write amqps://")
	}
	if c.TLS != nil && parsed.Scheme != "amqps" {
		transport.Finding(b, "tls", "tls is given but the URL is amqp://", "write amqps:// in the URL")
	}
	if c.external() && parsed.Scheme != "amqps" {
		transport.Finding(b, at, "auth: external needs TLS, because the broker takes the user from the client's certificate", "write amqps://")
	}
}

// unescaped tells whether a URL has a character that ends a part of it where somebody meant a part of a password.
func unescaped(url string) bool { return strings.Count(url, "@") > 1 || strings.Contains(url, "#") }

// inClear tells whether a URL carries a password of its own over the network without TLS.
func inClear(url string, parsed *amqp.URI) bool {
	return parsed.Scheme == "amqp" && strings.Contains(url, "@") && parsed.Password != "" && !transport.Loopback(parsed.Host)
}

// option is the value that is written under a name; nil when none is.
func option(b *config.Builder, name string) *yamldoc.Value {
	if b.Value == nil {
		return nil
	}
	for _, e := range b.Value.Entries() {
		if e.Key.Text == name {
			return e.Value
		}
	}
	return nil
}

// emptyText tells whether an option was written as an empty text.
func emptyText(b *config.Builder, name string) bool {
	v := option(b, name)
	return v != nil && v.Kind() == yamldoc.KindScalar && v.Scalar().Text == ""
}

// external tells whether the user comes from the client's certificate.
func (c *Broker) external() bool { return c.Auth == "external" }

func (c *Broker) urls() []config.Secret {
	var all []config.Secret
	for _, u := range append([]config.Secret{c.URL}, c.URLs...) {
		if !u.IsZero() {
			all = append(all, u)
		}
	}
	return all
}

func written(b *config.Builder, name string) bool { return option(b, name) != nil }

// BuildSource implements config.SourceConfig.
func (c *Source) BuildSource(b *config.Builder) config.Source {
	c.check(b)
	if c.Prefetch < 0 || c.Prefetch > maxPrefetch {
		transport.Finding(b, "prefetch", fmt.Sprintf("prefetch must be from 0 to %d", maxPrefetch), "leave it out")
	}
	if emptyText(b, "queue") {
		transport.Finding(b, "queue", "queue is empty", "write the name of a queue")
	}
	if len(c.Queue) > maxShort {
		transport.FindingWithCode(b, diag.BadName, "queue", fmt.Sprintf("the queue's name has %d bytes, the most is %d", len(c.Queue), maxShort), "")
	}
	if c.MaxDeliveries < 0 {
		transport.Finding(b, "max_deliveries", "max_deliveries must be 0 or more", "leave it out for no limit")
	}
	if c.Declare != nil {
		c.Declare.check(b)
		if c.MaxDeliveries > 1 && c.Declare.Type == amqp.QueueTypeClassic {
			transport.Finding(b, "max_deliveries", "a classic queue does not count its deliveries, so that this limit is never reached",
				"write declare: {type: quorum}, or leave max_deliveries out")
		}
	}
	d := c.dialer(b)
	open := c.open(d)
	if c.checkDriver(b); c.Driver == watermill.Driver {
		open = c.openStock(d)
	}
	return config.Source{Traits: traits(), Open: open, Connect: c.connect(d), Extra: extra}
}

// maxPrefetch is what basic.qos can say (AMQP 0-9-1 section 1.8.3.1: a short).
const maxPrefetch = 65535

// maxShort is the most bytes of a short string (AMQP 0-9-1 section 4.2.5.3): names, routing keys, most properties.
const maxShort = 255

func traits() flow.Traits { return flow.Traits{Keyed: true, Headers: true} }

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	c.check(b)
	transport.CheckGlobs(b, c.Allow)
	p := &preparer{allow: c.Allow, mandatory: c.Mandatory, users: c.users(), name: b.Name}
	p.exchange = c.name(b, "exchange", c.Exchange)
	p.routingKey = c.name(b, "routing_key", c.RoutingKey)
	if !c.Exchange.Set && !c.RoutingKey.Set && b.Value != nil && !written(b, "exchange") && !written(b, "routing_key") {
		transport.FindingWithCode(b, diag.MissingKey, "", "neither exchange nor routing_key says where messages go",
			"write exchange: name, or routing_key: the name of a queue")
	}
	if c.Declare != nil {
		checkArguments(b, c.Declare.Arguments)
		if p.exchange.template != nil && !p.exchange.isConstant || p.fixedExchange() == "" && !c.Exchange.Text.Undefined {
			transport.Finding(b, "declare", "only an exchange with a fixed name can be declared", "write exchange: name without {{ }}, or leave declare out")
		}
	}
	if c.ConfirmTimeout < minConfirmTimeout {
		transport.Finding(b, "confirm_timeout", fmt.Sprintf("confirm_timeout must be %s at least", minConfirmTimeout), "leave it out for 30s")
	}
	p.overrides = c.Properties.compile(b)
	d := c.dialer(b)
	open := c.open(d, p)
	if c.checkDriver(b); c.Driver == watermill.Driver {
		open = c.openStock(d, p)
	}
	return config.Sink{Traits: traits(), Preparer: p, Open: open, Connect: c.connect(d, p)}
}

// name compiles the exchange or the routing key and checks what can be checked without a message.
func (c *Sink) name(b *config.Builder, option string, t config.Template) rendered {
	transport.CheckSecret(b, &t.Text)
	r := rendered{option: option, template: b.Template(t)}
	if r.template == nil {
		return r
	}
	text, constant := r.template.Constant()
	switch {
	case constant && t.Text.Undefined:
	case constant && !t.Text.Replaced && transport.LooksLikePath(text):
		transport.FindingWithCode(b, diag.ExpressionInLiteral, option, fmt.Sprintf("%q is a literal and reads like a path of the message", text),
			fmt.Sprintf(`write %s: "name.{{ %s }}"`, option, text))
	case constant && len(text) > maxShort:
		transport.FindingWithCode(b, diag.BadName, option, fmt.Sprintf("%s has %d bytes, the most is %d", option, len(text), maxShort), "")
	case constant:
		r.constant = text
	case r.template.Prefix() == "" && len(c.Allow) == 0 && c.unbounded(option):
		transport.FindingWithCode(b, diag.OpenDestination, option, "the message alone decides where it goes",
			"begin with literal text, or write allow: [globs of what it may be]")
	}
	r.isConstant = constant
	return r
}

// unbounded tells whether a free text in that option lets a message choose any destination: an exchange always, a routing key when it
// names queues. Behind a named exchange the bindings decide.
func (c *Sink) unbounded(option string) bool {
	return option == "exchange" || !c.Exchange.Set || c.Exchange.Text.Scalar.Text == ""
}

// rendered is a name that may depend on the message.
type rendered struct {
	option     string
	template   *expression.Template
	constant   string
	isConstant bool
}

func (r *rendered) render(m *flow.Message, allow []string) (string, error) {
	if r.template == nil || r.isConstant {
		return r.constant, nil
	}
	var room [64]byte
	b, err := r.template.Render(m, room[:0])
	if err != nil {
		return "", err
	}
	name := string(b)
	switch {
	case len(name) > maxShort:
		return "", flow.Errorf(flow.Permanent, flow.CodeInvalidName, "%s has %d bytes, the most is %d", r.option, len(name), maxShort)
	case strings.ContainsRune(name, 0):
		return "", flow.Errorf(flow.Permanent, flow.CodeInvalidName, "%s %q holds a zero byte", r.option, name)
	case len(allow) > 0 && !transport.Matches(allow, name):
		return "", flow.Errorf(flow.Permanent, flow.CodeInvalidName, "%s %q matches none of allow: %s", r.option, name, strings.Join(allow, ", "))
	}
	return name, nil
}
