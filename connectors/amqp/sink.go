package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

const (
	// minConfirmTimeout is the least confirm_timeout: a broker that syncs to disk takes a moment.
	minConfirmTimeout = time.Second
	// defaultConfirmTimeout holds where no file says otherwise.
	defaultConfirmTimeout = 30 * time.Second
	// reconnectPatience is how long Send waits for a connection before its messages fail as unavailable.
	reconnectPatience = 30 * time.Second
)

// sink publishes through one connection, and opens it again for ever once it has been open.
type sink struct {
	host    flow.Host
	dialer  dialer
	release func() error // of what is shared
	outage  outage       // of the goroutine in keepOpen

	declare        *DeclareExchange
	exchange       string        // that must exist, or is declared
	confirmTimeout time.Duration // on a connection that is not blocked

	// publishing is a lock with a way out: one Send publishes at a time, which keeps each lane's order.
	publishing chan struct{}

	mu     sync.Mutex
	link   *link         // nil while there is none
	change chan struct{} // closed and replaced when link changes
	cause  error         // why there is no link

	closing chan struct{}
	once    sync.Once
	ended   sync.WaitGroup
}

func (c *Sink) open(d dialer, p *preparer) func(context.Context, flow.Host) (flow.Sink, error) {
	return func(ctx context.Context, host flow.Host) (flow.Sink, error) {
		s := &sink{
			host: host, dialer: d, publishing: make(chan struct{}, 1), change: make(chan struct{}), closing: make(chan struct{}),
			declare: c.Declare, exchange: p.fixedExchange(), confirmTimeout: c.ConfirmTimeout,
		}
		shared, release, err := d.share(host)
		if err != nil {
			return nil, err
		}
		s.release, s.outage = release, outage{log: host.Logger(), shared: shared}
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		first, err := patiently(ctx, func(ctx context.Context) (*link, error) { return s.connect(ctx, s.exchange) })
		if err != nil {
			return nil, errors.Join(err, release())
		}
		s.link = first
		s.ended.Go(func() { s.keepOpen(first) })
		return s, nil
	}
}

// keepOpen waits for the end of a link and opens the next one.
func (s *sink) keepOpen(l *link) {
	for {
		select {
		case <-s.closing:
			_ = l.close()
		default:
		}
		cause := l.run()
		s.set(nil, cause)
		select {
		case <-s.closing:
			return
		default:
		}
		s.outage.lost(cause)
		if l = s.reopen(); l == nil {
			return
		}
		s.outage.over()
		s.set(l, nil)
	}
}

// reopen tries until there is a link; nil when the sink is closed first.
func (s *sink) reopen() *link {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	for s.outage.wait(s.closing) {
		trying, done := context.WithTimeout(ctx, openTimeout)
		l, err := s.connect(trying, s.declared())
		done()
		switch {
		case err == nil && ctx.Err() != nil:
			_ = l.close()
		case err == nil:
			return l
		default:
			s.set(nil, err)
			s.outage.lost(err)
		}
	}
	return nil
}

// declared is the exchange that a new connection declares again: the broker may have lost it. One that is not declared is not looked for:
// its messages say so when it is missing.
func (s *sink) declared() string {
	if s.declare == nil {
		return ""
	}
	return s.exchange
}

func (s *sink) set(l *link, cause error) {
	s.mu.Lock()
	s.link, s.cause = l, cause
	close(s.change)
	s.change = make(chan struct{})
	s.mu.Unlock()
}

// ready waits for a link.
func (s *sink) ready(ctx context.Context) (*link, error) {
	late := time.NewTimer(reconnectPatience)
	defer late.Stop()
	for {
		s.mu.Lock()
		l, change, cause := s.link, s.change, s.cause
		s.mu.Unlock()
		if l != nil {
			return l, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "%w", ctx.Err())
		case <-s.closing:
			return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "the sink is closed")
		case <-late.C:
			return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "no connection for %s: %w", reconnectPatience, cause)
		}
	}
}

// call is one Send.
type call struct {
	left atomic.Int64
	done func()
	stop func() bool // ends the watch over the context
}

func (c *call) oneDone() {
	if c.left.Add(-1) == 0 {
		if c.stop != nil {
			c.stop()
		}
		c.done()
	}
}

// Send implements flow.Sink.
func (s *sink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	if len(outs) == 0 {
		done()
		return
	}
	entries, pubs := make([]entry, len(outs)), make([]publishing, len(outs))
	c := &call{done: done}
	c.left.Store(int64(len(outs)) + 1)
	for i, o := range outs {
		e := &entries[i]
		if pub, ok := o.Native.(*publishing); ok {
			pubs[i] = *pub
		} else {
			pubs[i] = publishing{mandatory: true, message: amqp.Publishing{DeliveryMode: amqp.Persistent}}
		}
		pubs[i].message.Body = o.Body
		e.out, e.call, e.key, e.pub = o, c, o.Dest, &pubs[i]
	}
	c.stop = context.AfterFunc(ctx, func() {
		err := flow.Errorf(flow.Transient, flow.CodeUnavailable, "not confirmed: %w", context.Cause(ctx))
		for i := range entries {
			entries[i].abandon(err)
		}
	})
	defer c.oneDone()
	select {
	case s.publishing <- struct{}{}:
		defer func() { <-s.publishing }()
	case <-ctx.Done():
		return
	}
	s.publish(ctx, entries)
}

// publish hands messages over in order. After the first failure of a link the rest fails too, so that none overtakes.
func (s *sink) publish(ctx context.Context, entries []entry) {
	l, err := s.ready(ctx)
	for i := range entries {
		if err == nil && ctx.Err() != nil {
			err = flow.Errorf(flow.Transient, flow.CodeUnavailable, "%w", ctx.Err())
		}
		if err == nil {
			err = l.publish(ctx, &entries[i])
		}
		if err != nil {
			entries[i].answer(err)
			if tooLarge(err) {
				err = nil
			}
		}
	}
}

// tooLarge tells a failure of one message from one of the link.
func tooLarge(err error) bool {
	var e *flow.Error
	return errors.As(err, &e) && e.Class == flow.Permanent
}

// Close implements flow.Sink.
func (s *sink) Close(context.Context) (err error) {
	s.once.Do(func() {
		close(s.closing)
		s.mu.Lock()
		l := s.link
		s.mu.Unlock()
		if l != nil {
			err = l.close()
		}
		s.ended.Wait()
		_ = s.release() // what is shared holds nothing open
	})
	if err != nil {
		return fmt.Errorf("close the connection: %w", err)
	}
	return nil
}
