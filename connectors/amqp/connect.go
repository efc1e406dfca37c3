package amqp

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

// connect tries what a source needs, and makes nothing.
func (c *Source) connect(d dialer) func(context.Context, flow.Host) error {
	return tryWith(d, c.look)
}

// connect tries what a sink needs, and makes nothing.
func (c *Sink) connect(d dialer, p *preparer) func(context.Context, flow.Host) error {
	return tryWith(d, func(conn *amqp.Connection) error { return c.look(conn, p) })
}

// tryWith opens a connection for look and ends it again.
func tryWith(d dialer, look func(*amqp.Connection) error) func(context.Context, flow.Host) error {
	return func(ctx context.Context, host flow.Host) error {
		d := d // each try is a first one
		conn, err := d.dial(ctx, connectionName(host))
		if err != nil {
			return err
		}
		defer func() { _ = conn.goodbye() }()
		return conn.ask(ctx, func() error { return look(conn.Connection) })
	}
}

// look is about the queue, and the exchanges that it is to be bound to.
func (c *Source) look(conn *amqp.Connection) error {
	if c.Declare == nil {
		return onChannel(conn, c.queue)
	}
	there, err := exists(conn, func(ch *amqp.Channel) error { return passively(ch, c.Queue) })
	if err != nil {
		return named(err, "queue %q", c.Queue)
	}
	if there {
		if err := onChannel(conn, c.declareQueue); err != nil {
			return err
		}
	}
	var none *DeclareExchange
	for _, b := range c.Declare.Bindings {
		if err := none.exchange(conn, b.Exchange); err != nil {
			return err
		}
	}
	return nil
}

// look is about the exchange, or the queue that every message goes to through the default exchange.
func (c *Sink) look(conn *amqp.Connection, p *preparer) error {
	exchange := p.fixedExchange()
	if exchange == "" {
		return p.lookForQueue(conn)
	}
	if c.Declare != nil {
		there, err := exists(conn, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(exchange, c.Declare.Type, true, false, false, false, nil)
		})
		if err != nil {
			return named(err, "exchange %q", exchange)
		}
		if !there {
			return nil
		}
	}
	return c.Declare.exchange(conn, exchange)
}

// lookForQueue fails when the one queue that the sink writes to is missing, since all messages would be unroutable.
func (p *preparer) lookForQueue(conn *amqp.Connection) error {
	queue := p.routingKey.constant
	if !p.exchange.fixed() || !p.routingKey.isConstant || queue == "" || !p.mandatory {
		return nil
	}
	ask := func(ch *amqp.Channel) error { return passively(ch, queue) }
	if there, err := exists(conn, ask); err != nil || there {
		return nil //nolint:nilerr // one that another connection has for itself can be written to
	}
	return named(onChannel(conn, ask), "queue %q, which routing_key names", queue)
}

func passively(ch *amqp.Channel, queue string) error {
	_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	return err
}

// exists asks the broker whether something is there. What is there can be declared again with what the file says: that changes nothing, and
// fails where the broker has it with other settings, which no passive declaration would tell.
func exists(conn *amqp.Connection, ask func(*amqp.Channel) error) (bool, error) {
	err := onChannel(conn, ask)
	if err != nil && channelError(err).Code == flow.CodeMissing {
		return false, nil
	}
	return err == nil, err
}

// onChannel does something on a channel of its own, which the broker closes when it refuses.
func onChannel(conn *amqp.Connection, do func(*amqp.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return channelError(err)
	}
	if err := do(ch); err != nil {
		return err
	}
	return ch.Close()
}

// connectionName is what the broker's console shows.
func connectionName(host flow.Host) string {
	return "millstream " + host.Instance() + " " + host.Pipeline() + " " + host.Name()
}

// fixedExchange is the exchange when messages do not decide about it.
func (p *preparer) fixedExchange() string {
	if p.exchange.template != nil && p.exchange.isConstant {
		return p.exchange.constant
	}
	return ""
}
