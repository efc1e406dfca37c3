package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// besideRig is a rig whose second sink is optional, gets all that the first one gets, and is opened as said; attempts counts how often
// that was tried.
func besideRig(t *testing.T, open func(ctx context.Context, attempt int) error) (r *rig, log *bytes.Buffer, attempts *atomic.Int64) {
	r, log, attempts = newRig(t, 2), &bytes.Buffer{}, &atomic.Int64{}
	r.engine.opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	r.program.Sources[0].Out = []pipelines.Edge{{Sink: true, Index: 0}, {Sink: true, Index: 1}}
	s := &r.program.Sinks[1]
	s.Name, s.Optional = "side", true
	s.Open = func(ctx context.Context, h flow.Host) (flow.Sink, error) {
		if err := open(ctx, int(attempts.Add(1))); err != nil {
			return nil, err
		}
		return r.sinks[1].Open(ctx, h)
	}
	return r, log, attempts
}

var errDown = flow.Errorf(flow.Transient, flow.CodeUnavailable, "no broker answers")

// hang waits until nobody wants the sink any more.
func hang(ctx context.Context, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestNobodyWaitsForAnOptionalSinkThatCannotBeOpened(t *testing.T) {
	bubble(t, "what its queue holds is sent when it opens, what it cannot take is dropped and counted", func(t *testing.T) {
		var up atomic.Bool
		r, log, attempts := besideRig(t, func(context.Context, int) error {
			if up.Load() {
				return nil
			}
			return errDown
		})
		began := time.Now()
		r.start()
		if d := time.Since(began); d != 0 {
			t.Errorf("the start took %s", d)
		}
		const more = 100
		for range optionalQueueSize/4 + more/4 {
			r.feed("a", "b", "c", "d")
		}
		synctest.Wait()
		r.settled(optionalQueueSize+more, 0)
		if s := r.p.Sinks()[1]; s.Dropped != more || s.NotOpen != "no broker answers" {
			t.Errorf("the sink says %+v", s)
		}
		if s := r.p.Sinks()[0]; s.NotOpen != "" {
			t.Errorf("the sink that is open says %+v", s)
		}
		time.Sleep(time.Minute)
		if n := attempts.Load(); n < 15 || n > 60 {
			t.Errorf("%d attempts in a minute", n)
		}
		if n := strings.Count(log.String(), "cannot be opened"); n != 1 || !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("the log tells of it %d times:\n%s", n, log)
		}
		up.Store(true)
		time.Sleep(openPauseMost)
		synctest.Wait()
		if n, s := len(r.sinks[1].Delivered()), r.p.Sinks()[1]; n != optionalQueueSize || s.NotOpen != "" {
			t.Errorf("%d arrived once it was open, and it says %+v", n, s)
		}
		if !strings.Contains(log.String(), "the optional sink is open now") {
			t.Errorf("the log does not say that it is open:\n%s", log)
		}
		if err := r.stop(time.Second); err != nil || r.sinks[1].Closed() != 1 {
			t.Errorf("stop: %v, closed %d times", err, r.sinks[1].Closed())
		}
		r.even()
	})
	bubble(t, "a refused password is an error in the log, tried seldom, and told of anew when it becomes another one", func(t *testing.T) {
		r, log, attempts := besideRig(t, func(_ context.Context, attempt int) error {
			if attempt < 3 {
				return flow.Errorf(flow.ConfigError, flow.CodeAuth, "refuses the password")
			}
			return errors.New("something else")
		})
		r.start()
		r.feed("a")
		time.Sleep(time.Hour)
		r.settled(1, 0)
		r.got(0, "a")
		if n := attempts.Load(); n < 100 || n > 300 {
			t.Errorf("%d attempts in an hour", n)
		}
		for _, line := range []string{"level=ERROR", "class=config code=auth error=\"refuses the password\"", "error=\"something else\""} {
			if strings.Count(log.String(), "cannot be opened") != 2 || !strings.Contains(log.String(), line) {
				t.Errorf("the log has not %q once:\n%s", line, log)
			}
		}
		_ = r.stop(time.Second)
		r.state(Stopped)
	})
}

func TestAStopDoesNotWaitForAnOptionalSinkThatCannotBeOpened(t *testing.T) {
	const several = "a b c"
	stopIn := func(t *testing.T, r *rig, most time.Duration) {
		t.Helper()
		began := time.Now()
		if err := r.stop(time.Minute); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > most {
			t.Errorf("the stop took %s", d)
		}
		r.state(Stopped)
		r.even()
	}
	bubble(t, "between two attempts", func(t *testing.T) {
		r, _, _ := besideRig(t, func(context.Context, int) error { return errDown })
		r.start()
		r.feed(strings.Fields(several)...)
		time.Sleep(time.Minute)
		stopIn(t, r, 0)
		r.settled(3, 0)
		if s := r.p.Sinks()[1]; s.Dropped != 3 || r.p.Balance().Delivered != 3 {
			t.Errorf("the sink says %+v, balance %+v", s, r.p.Balance())
		}
	})
	bubble(t, "while the first attempt hangs, but one that has just begun", func(t *testing.T) {
		r, log, _ := besideRig(t, hang)
		r.start()
		r.feed(strings.Fields(several)...)
		synctest.Wait()
		stopIn(t, r, firstAttempt-openMoment)
		if s := r.p.Sinks()[1]; s.Dropped != 3 || !strings.Contains(log.String(), "was still being opened") {
			t.Errorf("the sink says %+v, the log\n%s", s, log)
		}
	})
	bubble(t, "while the first attempt hangs and nothing is queued", func(t *testing.T) {
		r, _, _ := besideRig(t, hang)
		r.start()
		stopIn(t, r, 0)
	})
	bubble(t, "while the first attempt has been hanging for a while", func(t *testing.T) {
		r, _, _ := besideRig(t, hang)
		r.start()
		r.feed(strings.Fields(several)...)
		time.Sleep(firstAttempt)
		stopIn(t, r, 0)
	})
	bubble(t, "while an attempt does not obey, and what it opens at last is closed", func(t *testing.T) {
		free := make(chan struct{})
		r, _, _ := besideRig(t, func(context.Context, int) error { <-free; return nil })
		r.start()
		stopIn(t, r, openMoment)
		close(free)
		synctest.Wait()
		if s := r.sinks[1]; s.Opened() != 1 || s.Closed() != 1 {
			t.Errorf("opened %d times, closed %d times", s.Opened(), s.Closed())
		}
	})
}

func TestAnOptionalSinkThatOpensInAMomentMissesNothing(t *testing.T) {
	slow := func(context.Context, int) error { time.Sleep(openMoment * 4 / 5); return nil }
	bubble(t, "the first message comes after it", func(t *testing.T) {
		r, _, _ := besideRig(t, slow)
		began := time.Now()
		r.start()
		if d, s := time.Since(began), r.p.Sinks()[1]; d != openMoment*4/5 || s.NotOpen != "" {
			t.Errorf("the start took %s, and the sink says %+v", d, s)
		}
		_ = r.stop(time.Second)
	})
	bubble(t, "what is queued for it at the end is sent", func(t *testing.T) {
		r, _, _ := besideRig(t, func(context.Context, int) error { time.Sleep(openMoment * 3 / 2); return nil })
		r.run("a", "b")
		r.got(1, "a", "b")
	})
}

func TestADeadLetterWaitsForAnOptionalSinkThatIsNotOpen(t *testing.T) {
	bubble(t, "and arrives as soon as it is", func(t *testing.T) {
		var up atomic.Bool
		r, _, _ := besideRig(t, func(context.Context, int) error {
			if up.Load() {
				return nil
			}
			return errDown
		})
		r.program.Sources[0].Out = []pipelines.Edge{{Sink: true, Index: 0}}
		r.program.Sinks[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
		r.sinks[0].Answer = func(*flow.Outgoing) error { return permanent() }
		r.start()
		r.feed("a")
		time.Sleep(time.Hour) // its pauses are long now
		r.settled(0, 0)
		for up.Store(true); r.p.Sinks()[1].NotOpen != ""; {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(pipelines.DefaultPolicy().MinBackoff)
		r.settled(1, 0)
		r.got(1, "a")
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

// lent is what a sink has borrowed.
type lent struct{ open *atomic.Int64 }

func (l lent) Close() error { l.open.Add(-1); return nil }

func TestAnAttemptToOpenAnOptionalSinkLeavesNothing(t *testing.T) {
	bubble(t, "what it was lent is given back", func(t *testing.T) {
		var open atomic.Int64
		r, _, attempts := besideRig(t, nil)
		r.program.Sinks[1].Open = func(_ context.Context, h flow.Host) (flow.Sink, error) {
			attempts.Add(1)
			_, _, err := h.Share("client", func() (io.Closer, error) { open.Add(1); return lent{&open}, nil })
			return nil, errors.Join(err, errDown)
		}
		r.start()
		time.Sleep(time.Minute)
		if n := attempts.Load(); n < 2 || open.Load() != 0 {
			t.Errorf("%d attempts have left %d clients open", n, open.Load())
		}
		_ = r.stop(time.Second)
	})
	bubble(t, "one that hangs is cut short and made again", func(t *testing.T) {
		r, _, attempts := besideRig(t, hang)
		r.start()
		time.Sleep(4 * openAttempt)
		if n := attempts.Load(); n < 3 {
			t.Errorf("%d attempts", n)
		}
		_ = r.stop(time.Second)
	})
	t.Run("nor a secret that stands in its error", func(t *testing.T) {
		r, log, _ := besideRig(t, hang)
		p := newPipeline(r.engine, r.program)
		defer p.end(nil)
		o := p.graph.Load().sinks[1].optional.opening
		o.wanted, o.mask = t.Context(), func(text string) string { return strings.ReplaceAll(text, "hunter2", "***") }
		_ = o.fail(errors.New("dial hunter2"))
		if why := o.why().Message; why != "dial ***" || strings.Contains(log.String(), "hunter2") {
			t.Errorf("status says %s, the log\n%s", why, log)
		}
	})
}

func TestTheLogIsToldOfAReasonBehindManyThatDifferByPort(t *testing.T) {
	bubble(t, "of each once", func(t *testing.T) {
		r, log, _ := besideRig(t, func(_ context.Context, n int) error {
			if n <= 100 {
				return flow.Errorf(flow.Transient, flow.CodeUnavailable, "read tcp 127.0.0.1:%d: connection reset by peer", 40000+n)
			}
			return flow.Errorf(flow.ConfigError, flow.CodeAuth, "refuses the password")
		})
		r.start()
		time.Sleep(24 * time.Hour)
		_ = r.stop(time.Second)
		if n, m := strings.Count(log.String(), "reset by peer"), strings.Count(log.String(), "refuses the password"); n != 1 || m != 1 {
			t.Errorf("the log has %d and %d lines\n%s", n, m, log)
		}
	})
}
