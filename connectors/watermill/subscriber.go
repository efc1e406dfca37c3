package watermill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
)

// Subscriber is a watermill Subscriber on top of a source. Each lane of the source has one message under way at a time, which keeps its
// order; an acknowledged message is settled, a refused one is handed out again until it is acknowledged or the subscription ends. Then it
// stays at the source.
type Subscriber struct {
	// Open makes the source of a topic.
	open func(ctx context.Context, topic string) (flow.Source, error)
	host flow.Host

	mu      sync.Mutex
	closed  bool
	closing chan struct{}
	active  sync.WaitGroup
}

// ErrClosed is returned by what is asked for after Close.
var ErrClosed = errors.New("it is closed")

// nackPause is how long a refused message rests before it is handed out again.
const nackPause = 20 * time.Millisecond

// NewSubscriber makes a Subscriber; open makes the source of a topic.
func NewSubscriber(host flow.Host, open func(ctx context.Context, topic string) (flow.Source, error)) *Subscriber {
	return &Subscriber{open: open, host: host, closing: make(chan struct{})}
}

// Subscribe implements message.Subscriber. The channel is closed when ctx ends, after Close, or when the source cannot go on.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, fmt.Errorf("subscribe to %q: %w", topic, ErrClosed)
	}
	s.active.Add(1)
	s.mu.Unlock()
	source, err := s.open(ctx, topic)
	if err != nil {
		s.active.Done()
		return nil, fmt.Errorf("subscribe to %q: %w", topic, err)
	}
	out := make(chan *message.Message)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	go func() {
		defer s.active.Done()
		defer close(out)
		defer cancel()
		s.serve(ctx, topic, source, out)
	}()
	return out, nil
}

func (s *Subscriber) serve(ctx context.Context, topic string, source flow.Source, out chan<- *message.Message) {
	in := &intake{source: source, out: out, stop: ctx, lanes: map[*flow.Lane]chan *flow.Batch{}}
	if err := source.Run(ctx, in); err != nil {
		s.host.Logger().Error("the subscription has ended", "topic", topic, "error", err)
	}
	in.end()
	if err := source.Close(context.WithoutCancel(ctx)); err != nil {
		s.host.Logger().Warn("the source was not closed well", "topic", topic, "error", err)
	}
}

// Close implements message.Subscriber: it ends every subscription and waits for them.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.active.Wait()
	return nil
}

// intake hands the records of each lane out, one after another.
type intake struct {
	source flow.Source
	out    chan<- *message.Message
	stop   context.Context //nolint:containedctx // of the subscription, which the intake is a part of

	mu      sync.Mutex
	lanes   map[*flow.Lane]chan *flow.Batch
	workers sync.WaitGroup
}

// Push implements flow.Intake.
func (i *intake) Push(ctx context.Context, b *flow.Batch) error {
	select {
	case i.lane(b.Lane) <- b: //nolint:contextcheck // handing out ends with the subscription, not with one Push
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lane gives the channel of a lane's worker, which holds one batch more than it works on.
func (i *intake) lane(l *flow.Lane) chan<- *flow.Batch {
	i.mu.Lock()
	defer i.mu.Unlock()
	c, ok := i.lanes[l]
	if !ok {
		c = make(chan *flow.Batch, 1)
		i.lanes[l] = c
		i.workers.Go(func() { i.work(c) })
	}
	return c
}

func (i *intake) work(batches <-chan *flow.Batch) {
	for b := range batches {
		for k := range b.Records {
			end := flow.Open
			if i.stop.Err() == nil {
				end = i.handOut(b, k)
			}
			b.Records[k].Finish(end)
		}
		i.source.Settle(b)
	}
}

// end waits for the batches that were taken; no Push follows.
func (i *intake) end() {
	i.mu.Lock()
	for _, c := range i.lanes {
		close(c)
	}
	i.mu.Unlock()
	i.workers.Wait()
}

// handOut gives a record to whoever has subscribed, until it is acknowledged.
func (i *intake) handOut(b *flow.Batch, k int) flow.End {
	ctx, cancel := context.WithCancel(i.stop)
	defer cancel()
	for {
		m := MessageOf(&b.Records[k])
		m.SetContext(ctx)
		select {
		case i.out <- m:
		case <-ctx.Done():
			return flow.Open
		case <-b.Lane.Abandoned():
			return flow.Open
		}
		select {
		case <-m.Acked():
			return flow.Delivered
		case <-m.Nacked():
		case <-ctx.Done():
			return flow.Open
		case <-b.Lane.Abandoned():
			return flow.Open
		}
		select {
		case <-time.After(nackPause):
		case <-ctx.Done():
			return flow.Open
		}
	}
}

var _ message.Subscriber = (*Subscriber)(nil)
