package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/engine/enginetest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// eagerSource notes what it is told before a batch comes back, and whether anything comes after that.
type eagerSource struct {
	*enginetest.Source
	mu   sync.Mutex
	told []string
	back bool
	t    *testing.T
}

func (s *eagerSource) Ended(b *flow.Batch, index int, refused *flow.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := string(b.Records[index].Body)
	if refused != nil {
		what += " " + string(refused.Code)
	}
	s.told = append(s.told, what)
	if s.back {
		s.t.Errorf("%s was told after its batch came back", what)
	}
}

func (s *eagerSource) Settle(b *flow.Batch) {
	s.mu.Lock()
	s.back = true
	s.mu.Unlock()
	s.Source.Settle(b)
}

// eager is an answering rig whose source wants to know early. Sinks fail for a while for what has the mark "!", for good for what has "x".
func eager(t *testing.T, recovers time.Duration, nodes ...pipelines.Node) (*rig, *eagerSource) {
	r := answering(t, nodes...)
	s := &eagerSource{Source: r.in, t: t}
	r.program.Sources[0].Open = func(ctx context.Context, h flow.Host) (flow.Source, error) {
		_, err := r.in.Open(ctx, h)
		return s, err
	}
	began := time.Now()
	for i := range r.sinks {
		r.sinks[i].Answer = func(o *flow.Outgoing) error {
			switch body := string(o.Body); {
			case strings.Contains(body, "x"):
				return permanent()
			case strings.Contains(body, "!") && time.Since(began) < recovers*time.Duration(strings.Count(body, "!")):
				return transient()
			}
			return nil
		}
	}
	return r, s
}

func (s *eagerSource) want(when string, told ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := slices.Sorted(slices.Values(s.told))
	if slices.Sort(told); !slices.Equal(got, told) {
		s.t.Errorf("%s it was told %q, want %q", when, got, told)
	}
}

func TestAnEagerSourceIsToldOfWhatHasEndedWhileOthersAreTriedAgain(t *testing.T) {
	bubble(t, "record by record, and not of the last one", func(t *testing.T) {
		r, s := eager(t, 5*time.Second)
		r.start()
		r.feed("a", "!", "b", "x", "!!!!")
		synctest.Wait()
		s.want("at once", "a", "b", "x refused")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		s.want("when the first has got through", "a", "b", "x refused", "!")
		r.settled(0, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		r.settled(4, 1)
		s.want("in the end", "a", "b", "x refused", "!")
		_ = r.stop(time.Second)
		r.even()
	})
	bubble(t, "once all branches have ended", func(t *testing.T) {
		r, s := eager(t, 5*time.Second)
		r.program.Sources[0].Out = []pipelines.Edge{{Sink: true}, {Sink: true, Index: 1}}
		slow, began := r.sinks[1].Answer, time.Now()
		r.sinks[1].Answer = func(o *flow.Outgoing) error {
			if string(o.Body) == "b" && time.Since(began) < 2*time.Second {
				return transient()
			}
			return slow(o)
		}
		r.start()
		r.feed("a", "b", "!!!!!!!!")
		synctest.Wait()
		s.want("at once", "a")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		s.want("when the other branch has ended", "a", "b")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.settled(3, 0)
		_ = r.stop(time.Second)
		r.even()
	})
	bubble(t, "but not of what stays at its source", func(t *testing.T) {
		r, s := eager(t, time.Hour)
		r.start()
		r.feed("a", "!", "!")
		synctest.Wait()
		_ = r.stop(time.Second)
		r.settled(1, 2)
		s.want("in the end", "a")
		r.even()
	})
	bubble(t, "also where a node fails", func(t *testing.T) {
		r, s := eager(t, 0, failing(1, transient()))
		r.start()
		r.feed("a", "!", "b")
		synctest.Wait()
		s.want("at once", "a", "b")
		time.Sleep(time.Minute)
		synctest.Wait()
		r.settled(3, 0)
		_ = r.stop(time.Second)
		r.even()
	})
}
