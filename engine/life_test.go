package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/engine/enginetest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

func TestStopDrains(t *testing.T) {
	bubble(t, "what is in flight ends", func(t *testing.T) {
		r := newRig(t, 1)
		r.sinks[0].Gate = make(chan struct{})
		r.start()
		r.feed("a", "b")
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(r.sinks[0].Gate) })
		if err := r.stop(time.Minute); err != nil {
			t.Error(err)
		}
		r.got(0, "a", "b")
		r.settled(2, 0)
		r.even()
	})
	bubble(t, "past the deadline it stays at the source", func(t *testing.T) {
		r := newRig(t, 1)
		r.sinks[0].Gate = make(chan struct{})
		r.start()
		r.feed("k:a", "k:b")
		r.feed("k:c")
		synctest.Wait()
		if err := r.stop(time.Second); !errors.Is(err, ErrDeadline) {
			t.Errorf("error %v", err)
		}
		r.got(0)
		r.settled(0, 3)
		r.even()
		if b := r.p.Balance(); b.In != 0 || b.Returned != 3 {
			t.Errorf("balance %+v", b)
		}
	})
	bubble(t, "a deadline cuts retries short", func(t *testing.T) {
		r := newRig(t, 1, failing(1<<30, transient()))
		r.start()
		r.feed("k:!", "k:b", "j:c")
		synctest.Wait()
		if err := r.stop(time.Hour); !errors.Is(err, ErrDeadline) {
			t.Errorf("error %v", err)
		}
		r.got(0, "j:c")
		r.settled(1, 2)
	})
	bubble(t, "stopping twice, and a second stop may be more urgent", func(t *testing.T) {
		r := newRig(t, 1)
		r.sinks[0].Gate = make(chan struct{})
		r.start()
		r.feed("a")
		synctest.Wait()
		first := make(chan error)
		go func() { first <- r.p.Stop(context.Background()) }()
		synctest.Wait()
		if err := r.stop(0); !errors.Is(err, ErrDeadline) {
			t.Errorf("second stop: %v", err)
		}
		if err := <-first; !errors.Is(err, ErrDeadline) {
			t.Errorf("first stop: %v", err)
		}
		if err := r.stop(0); !errors.Is(err, ErrDeadline) {
			t.Errorf("third stop: %v", err)
		}
		r.settled(0, 1)
	})
	bubble(t, "an exhausted source waits for its retries", func(t *testing.T) {
		r := newRig(t, 1, failing(50, transient())).run("k:!", "k:b")
		r.got(0, "k:!", "k:b")
		r.settled(2, 0)
		r.state(Stopped)
	})
	bubble(t, "pause is stop where all sources are finite", func(t *testing.T) {
		r := newRig(t, 1, failing(50, permanent()))
		r.program.Sources[0].Traits.Finite = true
		r.run("!")
		r.state(Failed)
		r.settled(0, 1)
	})
}

func TestOpeningIsAllOrNothing(t *testing.T) {
	bubble(t, "a start that fails closes what it opened and keeps the neighbour", func(t *testing.T) {
		good := newRig(t, 1)
		good.program.Name = "good"
		good.start()
		r := newRig(t, 2)
		r.engine = good.engine
		r.program.Sinks[0].Optional = true
		for i, open := range []func(context.Context, flow.Host) (flow.Source, error){
			func(context.Context, flow.Host) (flow.Source, error) {
				return (*enginetest.Source)(nil), errors.New("no")
			},
			func(context.Context, flow.Host) (flow.Source, error) { panic("boom") },
			func(context.Context, flow.Host) (flow.Source, error) { return nil, nil },
		} {
			r.program.Sources[0].Open = open
			if _, err := r.engine.Start(t.Context(), r.program); err == nil {
				t.Fatal("it started")
			}
			if o, c := r.sinks[1].Opened(), r.sinks[1].Closed(); o != i+1 || c != i+1 {
				t.Errorf("opened %d, closed %d", o, c)
			}
		}
		if n := len(r.engine.Pipelines()); n != 1 {
			t.Errorf("%d pipelines are listed", n)
		}
		good.run2("a")
	})
	bubble(t, "a stop while it opens ends the opening", func(t *testing.T) {
		r := newRig(t, 1)
		r.program.Sources[0].Open = func(ctx context.Context, _ flow.Host) (flow.Source, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		failed := make(chan error)
		go func() {
			_, err := r.engine.Start(context.Background(), r.program)
			failed <- err
		}()
		synctest.Wait()
		stopped := make(chan error)
		go func() { stopped <- r.engine.Stop(context.Background()) }()
		if err := <-failed; err == nil {
			t.Error("it started")
		}
		if err := <-stopped; err != nil {
			t.Errorf("stop: %v", err)
		}
		if r.sinks[0].Closed() != 1 {
			t.Error("the sink is open")
		}
	})
	bubble(t, "a name runs once", func(t *testing.T) {
		r := newRig(t, 1)
		r.start()
		if _, err := r.engine.Start(t.Context(), r.program); !errors.Is(err, ErrDuplicate) {
			t.Errorf("error %v", err)
		}
		_ = r.stop(time.Second)
		r.start()
		_ = r.stop(time.Second)
	})
}

// run2 feeds a running pipeline, stops it and checks what arrived.
func (r *rig) run2(bodies ...string) {
	r.t.Helper()
	r.feed(bodies...)
	synctest.Wait()
	if err := r.stop(time.Second); err != nil {
		r.t.Error(err)
	}
	r.got(0, bodies...)
}

func TestSharedResourcesAreOpenedOnce(t *testing.T) {
	bubble(t, "and closed after the last user", func(t *testing.T) {
		opened, closed := 0, 0
		share := func(s *enginetest.Sink) func(context.Context, flow.Host) (flow.Sink, error) {
			return func(ctx context.Context, h flow.Host) (flow.Sink, error) {
				_, _, err := h.Share("key", func() (io.Closer, error) { opened++; return closer(func() error { closed++; return nil }), nil })
				if err != nil {
					return nil, err
				}
				return s.Open(ctx, h)
			}
		}
		a, b := newRig(t, 2), newRig(t, 1)
		b.engine, b.program.Name = a.engine, "other"
		for _, r := range []*rig{a, b} {
			for i := range r.program.Sinks {
				r.program.Sinks[i].Open = share(r.sinks[i])
			}
			r.start()
		}
		_ = a.stop(time.Second)
		if opened != 1 || closed != 0 {
			t.Errorf("opened %d, closed %d while it is used", opened, closed)
		}
		_ = b.stop(time.Second)
		if closed != 1 {
			t.Errorf("closed %d times", closed)
		}
	})
	bubble(t, "a resource is not opened again while it closes", func(t *testing.T) {
		s, held := newShared(), 0
		open := func() (io.Closer, error) {
			if held++; held > 1 {
				return nil, errors.New("in use")
			}
			return closer(func() error { time.Sleep(time.Second); held--; return nil }), nil
		}
		_, release, err := s.acquire("port", open)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = release() }()
		synctest.Wait()
		_, release, err = s.acquire("port", open)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(release(), release()); err != nil {
			t.Error(err)
		}
	})
	bubble(t, "a failed opening is tried again by the next", func(t *testing.T) {
		s := newShared()
		if _, _, err := s.acquire("k", func() (io.Closer, error) { panic("boom") }); err == nil {
			t.Fatal("no error")
		}
		if _, release, err := s.acquire("k", func() (io.Closer, error) { return closer(func() error { return nil }), nil }); err != nil {
			t.Error(err)
		} else if err := release(); err != nil {
			t.Error(err)
		}
	})
}

type closer func() error

func (c closer) Close() error { return c() }

func TestLimitsHoldTheSourceBack(t *testing.T) {
	for _, c := range []struct {
		name          string
		records       int
		bytes         int64
		sizes         []int
		taken, atOnce int
	}{
		{"by records", 4, 1 << 30, []int{2, 2, 2}, 4, 2},
		{"by bytes", 100, 2 * (64 + 2), []int{1, 1, 1}, 2, 2},
		{"a batch over the limit travels alone", 4, 1 << 30, []int{9, 1}, 9, 1},
		{"a batch over the limit waits for an empty pipeline", 4, 1 << 30, []int{1, 9, 1}, 1, 1},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r := newRig(t, 1)
			r.program.Limits.InFlight, r.program.Limits.InFlightBytes = c.records, c.bytes
			r.sinks[0].Gate = make(chan struct{})
			r.start()
			total := 0
			for i, n := range c.sizes {
				bodies := make([]string, n)
				for j := range bodies {
					bodies[j] = fmt.Sprint(i, "x")[:2]
				}
				r.feed(bodies...)
				total += n
			}
			synctest.Wait()
			if got := int(r.p.Balance().InFlight); got != c.taken {
				t.Errorf("%d records in flight, want %d", got, c.taken)
			}
			close(r.sinks[0].Gate)
			synctest.Wait()
			if err := r.stop(time.Second); err != nil {
				t.Error(err)
			}
			r.settled(total, 0)
		})
	}
}

func TestAbandonedLaneComesBack(t *testing.T) {
	bubble(t, "what was not sent is left, what was sent is settled, a new lane runs", func(t *testing.T) {
		r := newRig(t, 1)
		r.sinks[0].Gate = make(chan struct{})
		slow := true
		r.program.Sinks[0].Preparer = &enginetest.Sink{Check: func(*flow.Message, *flow.Outgoing) error {
			if slow {
				time.Sleep(time.Second)
			}
			return nil
		}}
		r.start()
		r.feed("k:a")
		time.Sleep(2 * time.Second) // it is with the sink now
		r.feed("k:b")
		synctest.Wait()
		r.lane.Abandon()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.settled(0, 0) // b waits for the verdict over a
		close(r.sinks[0].Gate)
		synctest.Wait()
		r.settled(1, 1)
		r.lane, slow = flow.NewLane("again"), false
		r.feed("k:b")
		synctest.Wait()
		r.got(0, "k:a", "k:b")
		_ = r.stop(time.Second)
		r.settled(2, 1)
		r.even()
	})
	bubble(t, "a retry is given up", func(t *testing.T) {
		r := newRig(t, 1, failing(1<<30, transient()))
		r.start()
		r.feed("k:!", "k:b", "j:c")
		synctest.Wait()
		r.lane.Abandon()
		synctest.Wait()
		r.settled(1, 2)
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestPauseStopsAllSources(t *testing.T) {
	bubble(t, "and a stop ends it", func(t *testing.T) {
		r := newRig(t, 1, failing(1, permanent()))
		other := enginetest.NewSource()
		r.program.Sources = append(r.program.Sources, r.program.Sources[0])
		r.program.Sources[1].Name, r.program.Sources[1].Open = "other", other.Open
		r.program.Sources[1].Out = []pipelines.Edge{{Sink: true}}
		r.start()
		r.feed("!")
		synctest.Wait()
		r.state(Paused)
		other.Feed(flow.NewLane("o"), flow.Record{Body: []byte("o")})
		synctest.Wait()
		r.got(0)
		r.p.Resume()
		synctest.Wait()
		if n := len(r.sinks[0].Bodies()); n != 2 {
			t.Errorf("%d messages arrived", n)
		}
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestAPipelineThatItsFirstMessagePausesIsPausedOnceItHasStarted(t *testing.T) {
	r := newRig(t, 1)
	p := newPipeline(r.engine, r.program)
	p.setPaused(flow.Errorf(flow.Permanent, flow.CodeProcessing, "never"), "in@1")
	p.started()
	if s := p.State(); s != Paused {
		t.Errorf("it is %s", s)
	}
	if p.unpause(); p.State() != Running {
		t.Errorf("it is %s after a resume", p.State())
	}
}
