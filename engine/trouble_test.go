package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
)

// moody tells of a trouble when it has one, and knows a lag.
type moody struct {
	mu    sync.Mutex
	since time.Time
	err   error
	lag   int64
}

func (m *moody) Trouble() (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.since, m.err
}

func (m *moody) say(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since, m.err = time.Now(), err
}

func (m *moody) Lag() int64 { return m.lag }

type moodySource struct {
	flow.Source
	*moody
}

type moodySink struct {
	flow.Sink
	*moody
}

// troubles are those of the pipeline, as kind, part and message.
func (r *rig) troubles() string {
	var all []string
	for _, t := range r.p.Troubles() {
		all = append(all, t.Kind+" "+t.Part+" "+t.Message)
	}
	return strings.Join(all, ", ")
}

func TestASourceOrSinkThatSaysItIsInTroubleIsOneOfThePipeline(t *testing.T) {
	bubble(t, "until it says that it is not", func(t *testing.T) {
		r := newRig(t, 1)
		in, out := &moody{lag: 7}, &moody{}
		openIn, openOut := r.program.Sources[0].Open, r.program.Sinks[0].Open
		r.program.Sources[0].Open = func(ctx context.Context, h flow.Host) (flow.Source, error) {
			s, err := openIn(ctx, h)
			return moodySource{s, in}, err
		}
		r.program.Sinks[0].Open = func(ctx context.Context, h flow.Host) (flow.Sink, error) {
			s, err := openOut(ctx, h)
			return moodySink{s, out}, err
		}
		r.start()
		r.p.p.setMask(func(text string) string { return strings.ReplaceAll(text, "hush", "***") })
		lag := func() *int64 { return r.p.Lags()[0].Lag }
		if got := r.troubles(); got != "" || lag() == nil || *lag() != 7 {
			t.Errorf("troubles %q, lag %v", got, lag())
		}
		began := time.Now()
		in.say(errors.New("no broker answers hush"))
		if got := r.troubles(); got != "" {
			t.Errorf("one that may pass at once is %q", got)
		}
		time.Sleep(passing)
		if got := r.troubles(); got != "source in no broker answers ***" || lag() != nil || !r.p.Troubles()[0].Since.Equal(began) {
			t.Errorf("troubles %q, lag %v", got, lag())
		}
		out.say(errors.New("blocked"))
		time.Sleep(passing)
		if got := r.troubles(); got != "source in no broker answers ***, sink out blocked" {
			t.Errorf("troubles %q", got)
		}
		r.state(Running)
		in.say(nil)
		out.say(nil)
		if got := r.troubles(); got != "" || lag() == nil {
			t.Errorf("troubles %q, lag %v", got, lag())
		}
		in.lag = -1
		if lag() != nil {
			t.Errorf("a lag that is not known is %d", *lag())
		}
		in.say(errors.New("over"))
		time.Sleep(passing)
		if err := r.stop(time.Second); err != nil || r.troubles() != "" || r.p.Lags() != nil {
			t.Errorf("%v, an ended pipeline has troubles %q", err, r.troubles())
		}
	})
}

func TestASinkWhoseSendsFailForNoFaultOfTheirMessagesIsATroubleUntilOneIsTaken(t *testing.T) {
	bubble(t, "transiently", func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		r := newRig(t, 1)
		r.sinks[0].Answer = func(*flow.Outgoing) error {
			if down.Load() {
				return errDown
			}
			return nil
		}
		r.start()
		began := time.Now()
		r.feed("a")
		time.Sleep(time.Minute)
		if got := r.troubles(); got != "sink out no broker answers" || !r.p.Troubles()[0].Since.Equal(began) {
			t.Errorf("troubles %q", got)
		}
		down.Store(false)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := r.troubles(); got != "" {
			t.Errorf("troubles %q", got)
		}
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
	bubble(t, "a message that is refused says nothing of the sink", func(t *testing.T) {
		r := newRig(t, 1)
		r.program.Sinks[0].OnError = then(0, 0)
		r.sinks[0].Answer = func(*flow.Outgoing) error { return permanent() }
		r.start()
		r.feed("a")
		time.Sleep(time.Minute)
		if got := r.troubles(); got != "" {
			t.Errorf("troubles %q", got)
		}
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestAnOptionalSinkThatIsNotOpenIsATrouble(t *testing.T) {
	bubble(t, "until it is open", func(t *testing.T) {
		var up atomic.Bool
		r, _, _ := besideRig(t, func(context.Context, int) error {
			if up.Load() {
				return nil
			}
			return errDown
		})
		r.start()
		time.Sleep(passing)
		if got := r.troubles(); got != "sink side no broker answers" {
			t.Errorf("troubles %q", got)
		}
		up.Store(true)
		time.Sleep(openPauseMost)
		synctest.Wait()
		if got := r.troubles(); got != "" {
			t.Errorf("troubles %q", got)
		}
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestAPipelineThatStartsHasNoTroubles(t *testing.T) {
	r := newRig(t, 2)
	r.program.Sinks[1].Optional = true
	open := r.program.Sinks[0].Open
	asked := make(chan struct{})
	r.program.Sinks[0].Open = func(ctx context.Context, h flow.Host) (flow.Sink, error) {
		<-asked
		return open(ctx, h)
	}
	go func() {
		defer close(asked)
		for len(r.engine.Pipelines()) == 0 {
			time.Sleep(time.Millisecond)
		}
		if all := r.engine.Pipelines()[0].Troubles(); len(all) > 0 {
			t.Errorf("%+v", all)
		}
	}()
	r.start()
	_ = r.stop(time.Second)
}
