package amqp

import (
	"context"

	"github.com/millstream/millstream/flow"
)

// connect tries what a source needs: the broker, and the queue unless it would be made.
func (c *Source) connect(d dialer) func(context.Context, flow.Host) error {
	return func(ctx context.Context, host flow.Host) error {
		conn, err := d.dial(ctx, connectionName(host))
		if err != nil {
			return err
		}
		defer func() { _ = conn.goodbye() }()
		ch, err := conn.Channel()
		if err != nil {
			return channelError(err)
		}
		if c.Declare != nil {
			return nil
		}
		return c.queue(ch)
	}
}

// connect tries what a sink needs: the broker, and the exchange unless it would be made.
func (c *Sink) connect(d dialer, p *preparer) func(context.Context, flow.Host) error {
	return func(ctx context.Context, host flow.Host) error {
		conn, err := d.dial(ctx, connectionName(host))
		if err != nil {
			return err
		}
		defer func() { _ = conn.goodbye() }()
		if c.Declare != nil {
			return nil
		}
		return c.Declare.exchange(conn.Connection, p.fixedExchange())
	}
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
