package amqp

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

// Declare is the queue as it is created. A queue that exists with other settings is an error.
type Declare struct {
	// Type is classic or quorum.
	Type string `yaml:"type" default:"classic" oneof:"classic quorum"`
	// Durable queues survive a restart of the broker; a quorum queue must be durable.
	Durable bool `yaml:"durable" default:"true"`
	// Arguments are further x-… arguments, as the broker documents them.
	Arguments map[string]any `yaml:"arguments"`
	// Bindings route messages of exchanges, which must exist, into the queue.
	Bindings []Binding `yaml:"bindings"`
}

// Binding routes what an exchange gets into the queue.
type Binding struct {
	// Exchange is where the messages come from.
	Exchange string `yaml:"exchange" required:"true"`
	// RoutingKey is what the exchange compares with a message's: a name for direct, a pattern with * and # for topic; fanout and headers
	// do not look at it.
	RoutingKey string `yaml:"routing_key"`
	// Arguments are what a headers exchange compares.
	Arguments map[string]any `yaml:"arguments"`
}

// DeclareExchange is the exchange as it is created. One that exists with other settings is an error.
type DeclareExchange struct {
	// Type is direct, fanout, topic or headers.
	Type string `yaml:"type" default:"direct" oneof:"direct fanout topic headers"`
	// Durable exchanges survive a restart of the broker.
	Durable bool `yaml:"durable" default:"true"`
	// Arguments are further arguments, as the broker documents them.
	Arguments map[string]any `yaml:"arguments"`
}

// check adds what is wrong with the queue as it is to be made.
func (d *Declare) check(b *config.Builder) {
	if d.Type == amqp.QueueTypeQuorum && !d.Durable {
		transport.Finding(b, "declare", "a quorum queue is always durable", "leave durable out")
	}
	if _, written := d.Arguments[amqp.QueueTypeArg]; written {
		transport.Finding(b, "declare", "the type of a queue is no argument here", "write type: quorum beside arguments")
	}
	checkArguments(b, d.Arguments)
	for i := range d.Bindings {
		bind := &d.Bindings[i]
		if bind.Exchange == "" {
			transport.Finding(b, "declare", "a queue cannot be bound to the default exchange, which knows every queue by its name", "name an exchange, or leave the binding out")
		}
		for _, n := range [...]struct{ what, text string }{{"exchange", bind.Exchange}, {"routing_key", bind.RoutingKey}} {
			if len(n.text) > maxShort {
				transport.FindingWithCode(b, diag.BadName, "declare", fmt.Sprintf("the %s of a binding has %d bytes, the most is %d", n.what, len(n.text), maxShort), "")
			}
		}
		checkArguments(b, bind.Arguments)
	}
}

func checkArguments(b *config.Builder, arguments map[string]any) {
	if err := checkField(tableFrom(arguments), 0); err != nil {
		transport.Finding(b, "declare", err.Error(), "arguments are text, numbers, bools, lists and tables of them")
	}
}

// tableFrom makes a table of what stands in a file.
func tableFrom(arguments map[string]any) amqp.Table {
	t := make(amqp.Table, len(arguments)+1)
	for name, v := range arguments {
		t[name] = field(v)
	}
	return t
}

// queue makes sure that the queue is there, and bound where the file says so.
func (c *Source) queue(ch *amqp.Channel) error {
	if c.Declare == nil {
		if err := passively(ch, c.Queue); err != nil {
			return named(err, "queue %q", c.Queue)
		}
		return nil
	}
	if err := c.declareQueue(ch); err != nil {
		return err
	}
	for _, b := range c.Declare.Bindings {
		if err := ch.QueueBind(c.Queue, b.RoutingKey, b.Exchange, false, tableFrom(b.Arguments)); err != nil {
			return named(err, "bind queue %q to exchange %q", c.Queue, b.Exchange)
		}
	}
	return nil
}

// declareQueue makes the queue, without its bindings; one that is there with the same settings stays as it is.
func (c *Source) declareQueue(ch *amqp.Channel) error {
	args := tableFrom(c.Declare.Arguments)
	args[amqp.QueueTypeArg] = c.Declare.Type
	if _, err := ch.QueueDeclare(c.Queue, c.Declare.Durable, false, false, false, args); err != nil {
		return named(err, "queue %q", c.Queue)
	}
	return nil
}

// exchange makes sure that the exchange of a sink is there; name is empty when messages name it, and for the default exchange, which
// always is. It asks on a channel of its own, which the broker closes when the exchange is missing.
func (d *DeclareExchange) exchange(conn *amqp.Connection, name string) error {
	if name == "" {
		return nil
	}
	return onChannel(conn, func(ch *amqp.Channel) error { return d.exchangeOn(ch, name) })
}

// exchangeOn declares the exchange, or looks whether it is there.
func (d *DeclareExchange) exchangeOn(ch *amqp.Channel, name string) (err error) {
	if d == nil {
		err = ch.ExchangeDeclarePassive(name, amqp.ExchangeDirect, true, false, false, false, nil)
	} else {
		err = ch.ExchangeDeclare(name, d.Type, d.Durable, false, false, false, tableFrom(d.Arguments))
	}
	if err != nil {
		return named(err, "exchange %q", name)
	}
	return nil
}

// named says what the broker's refusal is about.
func named(err error, format string, args ...any) error {
	e := channelError(err)
	return flow.Errorf(e.Class, e.Code, "%s: %w", fmt.Sprintf(format, args...), e)
}
