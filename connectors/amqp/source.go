package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

// source consumes one queue. It reconnects for ever once it has been open.
type source struct {
	host    flow.Host
	dialer  dialer
	cfg     Source
	shared  *shared
	nodes   nodes
	release func() error // of what is shared
	outage  outage       // of the goroutine in Run

	batchRecords int
	batchBytes   int64
	flights      sync.Pool

	mu      sync.Mutex
	current *session
}

// flight is one batch on its way.
type flight struct {
	batch   flow.Batch
	session *session
}

func (c *Source) open(d dialer) func(context.Context, flow.Host) (flow.Source, error) {
	return func(ctx context.Context, host flow.Host) (flow.Source, error) {
		limits := host.Limits()
		s := &source{
			host: host, dialer: d, cfg: *c, batchRecords: limits.BatchRecords(), batchBytes: limits.BatchBytes(),
		}
		s.flights.New = func() any { return &flight{} }
		var err error
		if err = s.share(); err != nil {
			return nil, err
		}
		s.outage = outage{log: host.Logger(), shared: s.shared, about: []any{"queue", c.Queue}}
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		if s.current, err = patiently(ctx, s.connect); err != nil {
			return nil, errors.Join(err, s.release())
		}
		return s, nil
	}
}

// share takes part in what is shared with other sources and sinks.
func (s *source) share() error {
	shared, leave, err := s.dialer.share(s.host)
	if err != nil {
		return err
	}
	known, forget, err := s.dialer.nodes(s.host)
	if err != nil {
		return errors.Join(err, leave())
	}
	s.shared, s.nodes = shared, known
	s.release = func() error { return errors.Join(forget(), leave()) }
	return nil
}

// Run implements flow.Source.
func (s *source) Run(ctx context.Context, in flow.Intake) error {
	for first := true; ; first = false {
		session, err := s.session(ctx)
		if err == nil {
			err = s.consume(ctx, session, in)
			var refused *refusedError
			if errors.As(err, &refused) {
				return refused.err
			}
			if ctx.Err() != nil {
				return nil
			}
			s.drop(session)
			// What is refused at once will be refused again; later it may be a matter of the broker's own reconstruction.
			if e := flow.AsError(err, flow.Transient, flow.CodeUnavailable); first && e.Code == flow.CodeAuth {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		s.outage.lost(err)
		if !s.outage.wait(ctx.Done()) {
			return nil
		}
	}
}

// refusedError is what Push gave when it did not take a batch.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }

// session is the open one, or a new one.
func (s *source) session(ctx context.Context) (*session, error) {
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if current != nil {
		return current, nil
	}
	fresh, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.current = fresh
	s.mu.Unlock()
	return fresh, nil
}

// drop ends a session that is lost: what the engine has of it and not sent yet comes back, and the broker delivers it again.
func (s *source) drop(lost *session) {
	lost.lane.Abandon()
	_ = lost.close() // it is lost already
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
}

// window is how many deliveries may be unacknowledged.
func (s *source) window() *sizing {
	if s.cfg.Prefetch > 0 {
		return fixed(s.cfg.Prefetch)
	}
	return newSizing(s.host.Limits(), min(2*s.batchRecords, maxPrefetch))
}

// consume reads one session until it is lost or ctx is done.
func (s *source) consume(ctx context.Context, se *session, in flow.Intake) error {
	if err := se.alone(ctx, s.host.Logger()); err != nil {
		return err
	}
	// What the engine has no room for when the connection is lost is the broker's again.
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := se.consume(s.window(), cancel); err != nil {
		return err
	}
	s.outage.over()
	for {
		select {
		case <-ctx.Done():
			se.stopConsuming()
			return nil
		case d, ok := <-se.buffer:
			if !ok || live.Err() != nil && ctx.Err() == nil {
				return se.reason()
			}
			f := s.gather(se, d)
			if err := in.Push(live, &f.batch); err != nil {
				lost := live.Err() != nil && ctx.Err() == nil
				se.giveBack(f)
				s.reuse(f)
				if lost {
					return se.reason()
				}
				se.stopConsuming()
				if ctx.Err() != nil {
					return nil
				}
				return &refusedError{err}
			}
		}
	}
}

// gather makes a batch of what has piled up, without waiting.
func (s *source) gather(se *session, d amqp.Delivery) *flight {
	f, _ := s.flights.Get().(*flight)
	f.session = se
	f.batch.Lane, f.batch.Arrived, f.batch.Memory = se.lane, time.Now().UnixNano(), f
	bytes := int64(0)
	for {
		f.batch.Records = append(f.batch.Records, flow.Record{})
		s.cfg.fill(&f.batch.Records[len(f.batch.Records)-1], &d)
		bytes += int64(len(d.Body)) + 64
		if len(f.batch.Records) == s.batchRecords || bytes >= s.batchBytes {
			return f
		}
		select {
		case next, ok := <-se.buffer:
			if !ok {
				return f
			}
			d = next
		default:
			return f
		}
	}
}

// fill makes a record of a delivery.
func (c *Source) fill(r *flow.Record, d *amqp.Delivery) {
	fillRecord(r, d, c.Queue)
	if c.MaxDeliveries > 0 && int(r.Attempt) > c.MaxDeliveries {
		r.Failure = flow.Errorf(flow.Poison, flow.CodeDeliveries,
			"the queue delivers the message for the %d. time, and max_deliveries is %d", r.Attempt, c.MaxDeliveries)
	}
}

// Settle implements flow.Source.
func (s *source) Settle(b *flow.Batch) {
	f, ok := b.Memory.(*flight)
	if !ok {
		return
	}
	f.session.acks.settle(len(b.Records), func(i int) (uint64, outcome) { return b.Records[i].Tag, s.outcome(&b.Records[i]) })
	s.reuse(f)
}

// outcome is what the broker is told of a record.
func (s *source) outcome(r *flow.Record) outcome {
	switch {
	case !r.Settled():
		return requeue
	case r.End() == flow.Dropped && s.cfg.OnDrop == rejectDropped:
		return reject
	}
	return acknowledge
}

// rejectDropped is the word of on_drop for messages that go to the queue's dead-letter exchange.
const rejectDropped = "reject"

func (s *source) reuse(f *flight) {
	clear(f.batch.Records)
	f.batch.Records, f.batch.Lane, f.session = f.batch.Records[:0], nil, nil
	s.flights.Put(f)
}

// Close implements flow.Source.
func (s *source) Close(context.Context) error {
	defer func() { _ = s.release() }() // what is shared holds nothing open
	s.mu.Lock()
	current := s.current
	s.current = nil
	s.mu.Unlock()
	if current == nil {
		return nil
	}
	current.acks.flush(true)
	if err := current.close(); err != nil {
		return fmt.Errorf("close the connection of queue %q: %w", s.cfg.Queue, err)
	}
	return nil
}
