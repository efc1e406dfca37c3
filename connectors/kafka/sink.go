package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

// sink writes records through a shared producer. A record that Send has handed over stays in its partition's order: the client never
// writes a later one while it is undecided, and fails the later ones with it when it gives up on it. Only a batch that the broker
// refuses for good may be followed by later ones; the engine then sends those of its keys again.
type sink struct {
	producer *producer
	// transaction is set instead of the producer where the pipeline delivers exactly once.
	transaction *transaction
	verdicts    *verdicts
	// destinations is nil for a sink with one topic.
	destinations *destinations
	release      func() error
	closed       sync.Once
}

func (c *Sink) open(cl cluster, p *preparer) func(context.Context, flow.Host) (flow.Sink, error) {
	return func(ctx context.Context, host flow.Host) (flow.Sink, error) {
		s := &sink{verdicts: p.verdicts}
		client, limits, err := c.join(&cl, host, s) //nolint:contextcheck // the producer outlives the opening
		if err != nil {
			return nil, err
		}
		if s.transaction != nil {
			defer client.Close()
		}
		if err := c.look(ctx, &cl, p, s, client, limits); err != nil {
			return nil, errors.Join(err, s.release())
		}
		return s, nil
	}
}

// join takes the pipeline's producer, or its transaction, and gives a client to look around with.
func (c *Sink) join(cl *cluster, host flow.Host, s *sink) (client *kgo.Client, limits *producer, err error) {
	if s.verdicts == nil {
		if s.producer, s.release, err = cl.producer(host, c.Compression); err != nil {
			return nil, nil, err
		}
		return s.producer.client, s.producer, nil
	}
	t, release, err := cl.transaction(host)
	if err != nil {
		return nil, nil, err
	}
	if client, err = cl.probe(host); err != nil {
		return nil, nil, errors.Join(err, release())
	}
	leave := t.join(s.verdicts, c.Compression)
	s.transaction, s.release = t, func() error {
		leave()
		return release()
	}
	return client, &t.limits, nil
}

// look makes sure that the brokers answer and that the topic is there, or makes it.
func (c *Sink) look(ctx context.Context, cl *cluster, p *preparer, s *sink, client *kgo.Client, limits *producer) error {
	d := newDestinations(cl, c)
	if p.constant == "" {
		s.destinations, d.learn = d, limits.learn
		return cl.checkOpen(ctx, client, nil)
	}
	if c.Create != nil {
		if err := cl.checkOpen(ctx, client, nil); err != nil {
			return err
		}
		if err := d.admit(ctx, client, p.constant); err != nil {
			return err
		}
	}
	if err := cl.checkOpen(ctx, client, []string{p.constant}); err != nil {
		return err
	}
	limits.learn(ctx, client, p.constant)
	return nil
}

// slot is one record on its way. It is the record's context, which is how the client's answer finds it again without an allocation
// for each record.
type slot struct {
	context.Context
	record kgo.Record
	out    *flow.Outgoing
	call   *call
	// try and verdicts are set in a transaction.
	try      *try
	verdicts *verdicts
}

// call is one Send.
type call struct {
	limits *producer
	left   atomic.Int64
	cancel context.CancelFunc
	done   func()
}

var errUndecided = fmt.Errorf("the brokers have not confirmed the record within %s", deliveryTimeout)

// Send implements flow.Sink.
func (s *sink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	if len(outs) == 0 {
		done()
		return
	}
	if s.transaction != nil {
		s.sendInTransaction(ctx, outs, done)
		return
	}
	// The client's own delivery timeout counts from the record's timestamp, which is the message's event time here.
	ctx, cancel := context.WithTimeoutCause(ctx, deliveryTimeout, errUndecided)
	c := &call{limits: s.producer, cancel: cancel, done: done}
	c.left.Store(int64(len(outs)))
	slots := make([]slot, len(outs))
	for i, o := range outs {
		sl := &slots[i]
		sl.Context, sl.out, sl.call = ctx, o, c
		client := s.producer.client
		sl.fill()
		if s.destinations != nil {
			if err := s.destinations.admit(ctx, client, o.Dest); err != nil {
				sl.end(err)
				continue
			}
		}
		if err := s.producer.refusal(&sl.record); err != nil {
			sl.end(err)
			continue
		}
		if sl.suspect() {
			var err error
			if client, err = s.producer.alone(); err != nil {
				sl.end(err)
				continue
			}
		}
		client.Produce(ctx, &sl.record, produced)
	}
}

func (sl *slot) fill() {
	o, r := sl.out, &sl.record
	r.Topic, r.Key, r.Value, r.Partition, r.Context = o.Dest, o.Key, o.Body, anyPartition, sl
	if t := o.Time(); t.UnixMilli() > 0 {
		r.Timestamp = t
	}
	if extra, ok := o.Native.(*prepared); ok {
		r.Headers, r.Partition = extra.headers, extra.partition
	}
}

func (sl *slot) suspect() bool {
	extra, ok := sl.out.Native.(*prepared)
	return ok && extra.suspect
}

// produced is the client's answer for one record.
func produced(r *kgo.Record, err error) {
	if sl, ok := r.Context.(*slot); ok {
		sl.end(err)
	}
}

func (sl *slot) end(err error) {
	sl.out.Err = nil
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && context.Cause(sl.Context) == errUndecided { //nolint:errorlint // the very value
			err = errUndecided
		}
		e := sl.judge(err)
		if sl.verdicts != nil {
			e = sl.spoil(e)
		}
		sl.out.Err = e
	}
	if c := sl.call; c.left.Add(-1) == 0 {
		c.cancel()
		c.done()
	}
}

// spoil gives the transaction up because of what became of the record, and keeps what the next try should know.
func (sl *slot) spoil(e *flow.Error) *flow.Error {
	if e.Code == flow.CodeAbandoned {
		return e
	}
	if extra, ok := sl.out.Native.(*prepared); ok {
		sl.verdicts.note(extra.id, e, extra.suspect && e.Class == flow.Transient)
	}
	if sl.try != nil {
		sl.try.spoil(e)
	}
	return flow.Errorf(flow.Transient, flow.CodeAbandoned, "the transaction is given up: %w", e)
}

// judge classifies a failure. A broker refuses whole batches: a record that was refused together with others is not bad yet, but tried
// again, and then alone.
func (sl *slot) judge(err error) *flow.Error {
	if own := (*flow.Error)(nil); errors.As(err, &own) {
		return own
	}
	if p := sl.call.limits; p.client != nil && errors.Is(err, kerr.UnknownTopicID) {
		go p.client.PurgeTopicsFromProducing(sl.record.Topic) // it waits for what this answer holds up
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "topic %q was deleted and made again: %w", sl.record.Topic, err)
	}
	e := sl.explained(err)
	if e.Class != flow.Permanent || sl.suspect() || e.Code == flow.CodeInvalidName {
		return e
	}
	if e.Code == flow.CodeTooLarge && sl.size() > int64(sl.call.limits.batchLimit(sl.record.Topic))-batchOverhead {
		return e
	}
	if sl.record.Partition != anyPartition && e.Code == flow.CodeRefused && !brokerSaid(err) {
		return e
	}
	extra := prepared{partition: anyPartition}
	if p, ok := sl.out.Native.(*prepared); ok {
		extra = *p
	}
	extra.suspect = true
	sl.out.Native = &extra
	return flow.Errorf(flow.Transient, flow.CodeRefused, "refused together with other records, tried again alone: %w", e)
}

func (sl *slot) size() int64 {
	n := len(sl.record.Key) + len(sl.record.Value)
	for _, h := range sl.record.Headers {
		n += len(h.Key) + len(h.Value) + 2
	}
	return int64(n)
}

// Close implements flow.Sink.
func (s *sink) Close(context.Context) (err error) {
	s.closed.Do(func() { err = s.release() })
	return err
}
