package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

// link is one connection of a sink and its one channel in confirm mode. A channel that the broker closes ends the link: the next one
// begins with a window of its own.
type link struct {
	conn   *connection
	ch     *amqp.Channel
	window *window
	log    interface{ Warn(msg string, args ...any) }

	returns  chan amqp.Return // unbuffered: a return is taken before any later confirm is
	lost     chan *amqp.Error
	blocked  chan amqp.Blocking
	added    chan struct{} // one slot: the window is not empty any more
	closed   chan struct{} // closed when the link has ended
	isBlock  atomic.Bool
	health   health        // of a connection that is open
	patience time.Duration // for a confirmation
	moved    time.Time     // the last confirmation, or the end of a block; the goroutine in run has it
	once     sync.Once
}

// connect opens a link. exchange, when given, must exist or is declared.
func (s *sink) connect(ctx context.Context, exchange string) (*link, error) {
	conn, err := s.dialer.dial(ctx, connectionName(s.host))
	s.outage.tried(err)
	if err != nil {
		return nil, err
	}
	l := &link{
		conn: conn, window: newWindow(), log: s.host.Logger(), returns: make(chan amqp.Return), lost: make(chan *amqp.Error, 2),
		blocked: make(chan amqp.Blocking, 8), patience: s.confirmTimeout, added: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	err = conn.ask(ctx, func() error {
		if err := s.declare.exchange(conn.Connection, exchange); err != nil {
			return err
		}
		return l.openChannel()
	})
	if err != nil {
		_ = conn.goodbye()
		return nil, err
	}
	return l, nil
}

func (l *link) openChannel() error {
	ch, err := l.conn.Channel()
	if err != nil {
		return channelError(err)
	}
	if err := ch.Confirm(false); err != nil {
		return channelError(err)
	}
	l.ch = ch
	ch.NotifyReturn(l.returns)
	ch.NotifyClose(l.lost)
	l.conn.NotifyBlocked(l.blocked)
	return nil
}

// publish writes one message. It waits while the window is full or the broker has blocked the connection: the back-pressure.
func (l *link) publish(ctx context.Context, e *entry) error {
	pub := e.content()
	if frame := l.conn.Config.FrameSize; frame > 0 && pub.header > frame-64 {
		return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the headers do not fit into the broker's frames of %d bytes", frame)
	}
	select {
	case l.window.room <- struct{}{}:
	default:
		select {
		case l.window.room <- struct{}{}:
		case <-ctx.Done():
			return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%w", ctx.Err())
		case <-l.closed:
			return errLost
		}
	}
	if err := l.unblocked(ctx); err != nil {
		<-l.window.room
		return err
	}
	// The window has the message before the broker does: a return may be faster than this goroutine.
	e.at = time.Now()
	if !l.window.add(e) {
		return errLost
	}
	confirm, err := l.ch.PublishWithDeferredConfirm(pub.exchange, e.key, pub.mandatory, false, pub.message)
	if err != nil {
		// The link is about to end and answers the message, as part of the window.
		l.end()
		return nil //nolint:nilerr // answered by the end of the window
	}
	l.confirmWith(e, confirm)
	return nil
}

var errLost = flow.Errorf(flow.Transient, flow.CodeUnavailable, "the connection was lost before the message was published")

// confirmWith makes the confirmation known to the goroutine that waits for it.
func (l *link) confirmWith(e *entry, c *amqp.DeferredConfirmation) {
	l.window.mu.Lock()
	e.confirm = c
	l.window.mu.Unlock()
	select {
	case l.added <- struct{}{}:
	default:
	}
}

// unblocked waits while the broker has blocked the connection (a memory or disk alarm).
func (l *link) unblocked(ctx context.Context) error {
	for l.isBlock.Load() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%w", ctx.Err())
		case <-l.closed:
			return errLost
		}
	}
	return nil
}

// run answers messages as the broker confirms and returns them, until the link ends; it gives the reason.
func (l *link) run() error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var cause error
	for cause == nil {
		cause = l.step(tick.C)
	}
	l.end()
	go func() {
		for range l.returns {
		}
	}()
	_ = l.conn.goodbye()
	said := l.said(cause)
	l.fail(said)
	return channelError(said)
}

// step waits for the next thing to happen.
func (l *link) step(tick <-chan time.Time) (cause error) {
	var confirmed <-chan struct{}
	oldest, confirm := l.oldest()
	if confirm != nil {
		confirmed = confirm.Done()
	}
	select {
	case r, ok := <-l.returns:
		if ok && !l.window.took(&r) {
			return fmt.Errorf("the broker returned a message that was not sent: exchange %q, routing key %q", r.Exchange, r.RoutingKey)
		}
		if !ok {
			return errClosed
		}
	case <-confirmed:
		if l.ch.IsClosed() && !confirm.Acked() {
			return errClosed
		}
		l.window.pop()
		l.moved = time.Now()
		oldest.answer(verdict(oldest, confirm.Acked()))
	case <-l.added:
	case b, ok := <-l.blocked:
		if ok {
			l.isBlock.Store(b.Active)
			l.moved = time.Now()
			l.health.works()
			if b.Active {
				l.health.fails(l.moved, flow.Errorf(flow.Transient, flow.CodeUnavailable, "the broker has blocked the connection: %s", b.Reason))
				l.log.Warn("the broker has blocked the connection; the sink waits", "reason", b.Reason)
			}
		} else {
			return errClosed
		}
	case <-tick:
		if oldest != nil && !l.isBlock.Load() && time.Since(oldest.at) > l.patience && time.Since(l.moved) > l.patience {
			return fmt.Errorf("the broker has not confirmed a message within %s", l.patience)
		}
	case <-l.closed:
		return errClosed
	}
	return nil
}

var errClosed = errors.New("the channel or the connection was closed")

func (l *link) oldest() (*entry, *amqp.DeferredConfirmation) {
	e := l.window.oldest()
	if e == nil {
		return nil, nil
	}
	return e, l.confirmation(e)
}

// confirmation is what the broker's answer to a message comes with; nil while it is being published.
func (l *link) confirmation(e *entry) *amqp.DeferredConfirmation {
	l.window.mu.Lock()
	defer l.window.mu.Unlock()
	return e.confirm
}

func verdict(e *entry, acked bool) error {
	switch {
	case e.returned != nil:
		return e.returned
	case !acked:
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "the broker refuses the message to exchange %q with routing key %q for now (nack): "+
			"a queue there may be full (max-length with overflow reject-publish) or without a leader", e.content().exchange, e.key)
	}
	return nil
}

// said is the broker's own reason for closing, when it gave one, or what is wrong with the network.
func (l *link) said(cause error) error {
	select {
	case err, ok := <-l.lost:
		if ok && err != nil && err.Server {
			return err
		}
	case <-time.After(time.Second): // it comes at once, where there is one
	}
	if err := l.conn.wire.failure(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return cause
}

// fail answers all that is unconfirmed. Only what the broker's reason is about fails for that reason; the rest is sent again.
func (l *link) fail(cause error) {
	reason := channelError(cause)
	left := l.window.end()
	when := "the connection was lost"
	if closed := closedByBroker(cause); closed != "" {
		when = closed
	}
	var other error = flow.Errorf(flow.Transient, flow.CodeUnavailable, "not confirmed when %s: %w", when, reason)
	for _, e := range left {
		confirm := l.confirmation(e)
		switch {
		case e.returned != nil, confirm != nil && confirm.Acked():
			e.answer(verdict(e, true))
		case about(cause, e):
			e.answer(blame(reason, cause))
		default:
			e.answer(other)
		}
	}
}

// blame is the failure of the message that made the broker close the channel.
func blame(reason *flow.Error, cause error) error {
	if _, ok := sizeIn(cause); ok {
		return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "%w", reason)
	}
	return reason
}

// about tells whether the broker's reason for closing the channel is about that message.
func about(cause error, e *entry) bool {
	var said *amqp.Error
	if !errors.As(cause, &said) {
		return false
	}
	pub := e.content()
	if size, ok := sizeIn(cause); ok {
		return size == len(pub.message.Body)
	}
	switch said.Code {
	case amqp.NotFound, amqp.AccessRefused:
		return strings.Contains(said.Reason, "exchange '"+pub.exchange+"'") || pub.exchange == "" && strings.Contains(said.Reason, "default exchange")
	}
	return false
}

// sizeIn reads the size of a message that RabbitMQ finds too large: "message size 200 is larger than configured max size 100".
func sizeIn(cause error) (size int, ok bool) {
	var said *amqp.Error
	if !errors.As(cause, &said) {
		return 0, false
	}
	_, rest, ok := strings.Cut(said.Reason, "message size ")
	if !ok || !strings.Contains(rest, "larger than") {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, " ")
	size, err := strconv.Atoi(digits)
	return size, err == nil
}

func (l *link) end() { l.once.Do(func() { close(l.closed) }) }

// close says goodbye. The goroutine in run then comes to its end.
func (l *link) close() error {
	err := l.conn.goodbye()
	l.end()
	return unlessClosed(err)
}
