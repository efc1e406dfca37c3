package watermill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// settles is an intake that settles everything at once.
type settles struct {
	source flow.Source
	mu     sync.Mutex
	bodies []string
	came   chan struct{}
}

func (i *settles) Push(_ context.Context, b *flow.Batch) error {
	i.mu.Lock()
	i.bodies = append(i.bodies, string(b.Records[0].Body))
	i.mu.Unlock()
	b.Records[0].Finish(flow.Delivered)
	i.source.Settle(b)
	i.came <- struct{}{}
	return nil
}

// stubborn is a Subscriber that fails at first, and looks for an acknowledgement only when it gets round to it.
type stubborn struct {
	message.Subscriber
	failures int
	err      error
}

func (s *stubborn) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if s.failures > 0 {
		s.failures--
		return nil, s.err
	}
	return s.Subscriber.Subscribe(ctx, topic)
}

func run(t *testing.T, o SourceOptions) (s flow.Source, in *settles, stop func() error) {
	t.Helper()
	s = NewSource(connectortest.NewHost(t), o)
	in = &settles{source: s, came: make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, in) }()
	return s, in, func() error {
		cancel()
		return errors.Join(<-ended, s.Close(context.Background()))
	}
}

func TestASubscriptionThatFailsForNowIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, nil)
		passing := errors.New("the broker is away")
		_, in, stop := run(t, SourceOptions{
			Subscriptions: []Subscription{{"topic", &stubborn{hub, 3, passing}}},
			Passing:       func(err error) bool { return errors.Is(err, passing) },
		})
		if err := hub.Publish("topic", message.NewMessage("1", []byte("x"))); err != nil {
			t.Fatal(err)
		}
		<-in.came
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestASubscriptionThatCannotBeMadeEndsTheSource(t *testing.T) {
	refused := errors.New("no such topic")
	s := NewSource(connectortest.NewHost(t), SourceOptions{
		Subscriptions: []Subscription{{"topic", &stubborn{gochannel.NewGoChannel(gochannel.Config{}, nil), 1, refused}}},
	})
	if err := s.Run(t.Context(), &settles{source: s}); !errors.Is(err, refused) {
		t.Errorf("Run gives %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAFailureThatTheSubscriberKeepsToItselfEndsTheSource(t *testing.T) {
	failed := make(chan error, 1)
	s := NewSource(connectortest.NewHost(t), SourceOptions{
		Subscriptions: []Subscription{{"topic", gochannel.NewGoChannel(gochannel.Config{}, nil)}}, Failed: failed,
	})
	denied := errors.New("denied")
	log := WatchErrors(Logger(connectortest.NewHost(t)), func(err error) { failed <- err }).With(nil)
	log.Error("the stock module goes on", denied, nil)
	if err := s.Run(t.Context(), &settles{source: s}); !errors.Is(err, denied) {
		t.Errorf("Run gives %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// slow is a Subscriber that sees an acknowledgement a while after it was given, and forgets it when it is closed before.
type slow struct {
	closing chan struct{}
	pause   time.Duration
	// ends: the message's context ends when the subscriber is done with it.
	ends bool
	seen int
	done sync.WaitGroup
}

func (s *slow) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	s.done.Go(func() {
		defer close(out)
		for n := 0; ; n++ {
			m := message.NewMessage(fmt.Sprint(n), nil)
			ends, cancel := context.WithCancel(ctx)
			if s.ends {
				m.SetContext(ends)
			}
			select {
			case out <- m:
			case <-s.closing:
				cancel()
				return
			}
			select {
			case <-time.After(s.pause):
				<-m.Acked()
				s.seen++
				cancel()
			case <-s.closing:
				cancel()
				return
			}
		}
	})
	return out, nil
}

func (s *slow) Close() error {
	close(s.closing)
	s.done.Wait()
	return nil
}

func TestCloseWaitsUntilAcknowledgementsAreSeen(t *testing.T) {
	for ends, want := range map[bool]int{true: 1, false: 0} {
		t.Run(fmt.Sprintf("the message's context ends: %v", ends), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				subscriber := &slow{closing: make(chan struct{}), pause: ackPatience / 2, ends: ends}
				_, in, stop := run(t, SourceOptions{Subscriptions: []Subscription{{"topic", subscriber}}})
				<-in.came
				if err := stop(); err != nil {
					t.Error(err)
				}
				if subscriber.seen != want {
					t.Errorf("%d acknowledgements were seen, want %d", subscriber.seen, want)
				}
			})
		})
	}
}

func TestCloseDoesNotWaitForASubscriberThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		subscriber := &slow{closing: make(chan struct{}), pause: time.Hour, ends: true}
		_, in, stop := run(t, SourceOptions{Subscriptions: []Subscription{{"topic", subscriber}}})
		<-in.came
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited != ackPatience {
			t.Errorf("it waited %s", waited)
		}
	})
}

func TestASubscriptionThatEndsEndsTheSource(t *testing.T) {
	hub := gochannel.NewGoChannel(gochannel.Config{}, nil)
	if err := hub.Close(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan *message.Message)
	close(ended)
	s := NewSource(connectortest.NewHost(t), SourceOptions{Subscriptions: []Subscription{{"topic", given{hub, ended}}}})
	if err := s.Run(t.Context(), &settles{source: s}); err == nil {
		t.Error("the source ends as if all was read")
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// given is a Subscriber whose messages the test gives.
type given struct {
	message.Subscriber
	messages chan *message.Message
}

func (g given) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	return g.messages, nil
}

func TestWhatIsSettledIsAcknowledgedAndWhatStaysIsRefused(t *testing.T) {
	s := NewSource(connectortest.NewHost(t), SourceOptions{})
	for end, acknowledged := range map[flow.End]bool{flow.Delivered: true, flow.Filtered: true, flow.Dropped: true, flow.DeadLettered: true, flow.Open: false} {
		m := message.NewMessage("1", nil)
		b := &flow.Batch{Memory: m, Records: []flow.Record{{}}}
		b.Records[0].Finish(end)
		s.Settle(b)
		select {
		case <-m.Acked():
			if !acknowledged {
				t.Errorf("%v is acknowledged", end)
			}
		case <-m.Nacked():
			if acknowledged {
				t.Errorf("%v is refused", end)
			}
		default:
			t.Errorf("%v is neither acknowledged nor refused", end)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAClosingSourceMayStillSettle(t *testing.T) {
	for range 100 {
		s, ok := NewSource(&Host{}, SourceOptions{}).(*source)
		if !ok {
			t.Fatal("no source")
		}
		var settling sync.WaitGroup
		settling.Go(func() {
			for range 50 {
				m := message.NewMessage("x", nil)
				ctx, cancel := context.WithCancel(t.Context())
				m.SetContext(ctx)
				b := s.batch(m, "t", 0)
				b.Records[0].Finish(flow.Delivered)
				s.Settle(b)
				cancel()
			}
		})
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		settling.Wait()
	}
}
