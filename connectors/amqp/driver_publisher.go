package amqp

import (
	"errors"
	"sync"

	wm "github.com/ThreeDotsLabs/watermill"
	stock "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
)

// stockPublisher is a stock publisher that is made anew, on the same connection, once it has failed: one whose channel cannot be opened
// again when the connection is lost forgets that channel, and waits for it for ever.
type stockPublisher struct {
	settings stock.Config
	log      wm.LoggerAdapter
	conn     *stock.ConnectionWrapper

	mu      sync.Mutex
	current *stock.Publisher // nil after a failure
	closed  bool
}

func newStockPublisher(settings stock.Config, log wm.LoggerAdapter) (*stockPublisher, error) {
	conn, err := stock.NewConnection(settings.Connection, log)
	if err != nil {
		return nil, err
	}
	p := &stockPublisher{settings: settings, log: log, conn: conn}
	if err := p.renew(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return p, nil
}

// renew makes the publisher; the lock is held.
func (p *stockPublisher) renew() (err error) {
	if !p.conn.IsConnected() {
		return errors.New("there is no connection to the broker")
	}
	p.current, err = stock.NewPublisherWithConnection(p.settings, p.log, p.conn)
	return err
}

// Publish implements message.Publisher.
func (p *stockPublisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("the publisher is closed")
	}
	if p.current == nil {
		if err := p.renew(); err != nil {
			return err
		}
	}
	err := p.current.Publish(topic, messages...)
	if err != nil {
		_ = p.current.Close() // its channel is of no use any more
		p.current = nil
	}
	return err
}

// Close implements message.Publisher.
func (p *stockPublisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if p.current != nil {
		_ = p.current.Close() // the connection takes its channel along
	}
	return p.conn.Close()
}

var _ message.Publisher = (*stockPublisher)(nil)
