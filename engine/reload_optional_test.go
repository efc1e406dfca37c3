package engine

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// optionalProgram has a second sink that is optional, opened as said.
func optionalProgram(r *reloadRig, version, opened string) *pipelines.Program {
	p := r.program(version, "a", "a")
	s := r.sink("optional " + opened)
	p.Sinks = append(p.Sinks, pipelines.Sink{
		Name: "side", Connector: "memory", Open: s.Open, Opened: opened, Preparer: s, OnError: pipelines.DefaultPolicy(), Optional: true,
		Traits: flow.Traits{Headers: true},
	})
	p.Nodes[0].Ports[0] = append(p.Nodes[0].Ports[0], pipelines.Edge{Sink: true, Index: 1})
	return p
}

func TestAnOptionalSinkGetsWhatIsQueuedBeforeTheOneThatFollowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloadRig(t)
		first, second := r.sink("optional 1"), r.sink("optional 2")
		var order []string
		first.Answer = func(*flow.Outgoing) error { order = append(order, "first"); return nil }
		second.Answer = func(*flow.Outgoing) error { order = append(order, "second"); return nil }
		first.Gate = make(chan struct{})
		r.start(optionalProgram(r, "v0", "1"))
		r.feed(1)
		synctest.Wait()
		done := make(chan Reloaded)
		go func() {
			did, err := r.reload(optionalProgram(r, "v1", "2"))
			if err != nil {
				t.Error(err)
			}
			done <- did
		}()
		synctest.Wait()
		r.feed(1)
		synctest.Wait()
		if len(order) > 0 || len(r.deliveries()) != 4 {
			t.Errorf("%v while the first one hangs, and %d deliveries elsewhere", order, len(r.deliveries()))
		}
		close(first.Gate)
		if did := <-done; did.Pause != 0 {
			t.Errorf("an optional sink paused the source: %+v", did)
		}
		synctest.Wait()
		if got := strings.Join(order, " "); got != "first first second second" {
			t.Errorf("they got %s", got)
		}
		r.finish(false)
	})
}

func TestAnOptionalSinkThatIsNotWantedAfterAllIsClosedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloadRig(t)
		r.sink("optional 1").Answer = nil
		r.start(optionalProgram(r, "v0", "1"))
		next := optionalProgram(r, "v1", "2")
		next.Sinks = append(next.Sinks, pipelines.Sink{
			Name: "last", Open: func(context.Context, flow.Host) (flow.Sink, error) { synctest.Wait(); return nil, errNo },
		})
		began := time.Now()
		if _, err := r.reload(next); err == nil || time.Since(began) != 0 {
			t.Errorf("the reload took %s: %v", time.Since(began), err)
		}
		if s := r.sink("optional 2"); s.Opened() != 1 || s.Closed() != 1 {
			t.Errorf("it was opened %d times and closed %d", s.Opened(), s.Closed())
		}
		r.feed(10)
		r.finish(false)
	})
}

// unopened makes the optional sink one that is not opened, as long as it is not up.
func unopened(p *pipelines.Program, up *atomic.Bool) *pipelines.Program {
	s := &p.Sinks[1]
	open := s.Open
	s.Open = func(ctx context.Context, h flow.Host) (flow.Sink, error) {
		if !up.Load() {
			return nil, errNo
		}
		return open(ctx, h)
	}
	return p
}

func TestAReloadDoesNotWaitForAnOptionalSinkThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up, never atomic.Bool
		r := newReloadRig(t)
		r.sink("optional 1").Answer, r.sink("optional 2").Answer = nil, nil
		r.start(unopened(optionalProgram(r, "v0", "1"), &never))
		r.feed(10)
		synctest.Wait()
		began := time.Now()
		r.mustReload(unopened(optionalProgram(r, "v1", "2"), &up))
		if d := time.Since(began); d != 0 {
			t.Errorf("the reload took %s", d)
		}
		if s := r.p.Sinks()[1]; s.Dropped != 20 || s.NotOpen == "" {
			t.Errorf("what the old sink had queued is not counted: %+v", s)
		}
		r.feed(10)
		time.Sleep(time.Minute)
		next := unopened(optionalProgram(r, "v2", "2"), &never)
		if did := r.mustReload(next); len(did.KeptSinks) != 2 {
			t.Errorf("kept are %q", did.KeptSinks)
		}
		up.Store(true)
		time.Sleep(time.Minute)
		if n, s := len(r.sink("optional 2").Delivered()), r.p.Sinks()[1]; n != 20 || s.NotOpen != "" {
			t.Errorf("%d arrived at the sink that was kept while it was being opened, which says %+v", n, s)
		}
		r.finish(false)
		if n := r.sink("optional 1").Opened(); n != 0 {
			t.Errorf("the sink that was taken away was opened %d times", n)
		}
	})
}

func TestAnOptionalSinkThatCannotBeOpenTwiceIsNotTriedByAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		up.Store(true)
		r := newReloadRig(t)
		r.sink("optional 1").Answer = nil
		first := optionalProgram(r, "v0", "1")
		r.start(unopened(first, &up))
		next := optionalProgram(r, "v1", "2")
		next.Sinks[1].Traits.Single = true
		next.Sinks[1].Connect = func(context.Context, flow.Host) error { return errNo }
		up.Store(false)
		r.mustReload(unopened(next, &up))
		if a, b := r.sink("optional 1"), r.sink("optional 2"); a.Closed() != 1 || b.Opened() != 0 || r.p.Sinks()[1].NotOpen == "" {
			t.Errorf("the old one was closed %d times, the new one opened %d times: %+v", a.Closed(), b.Opened(), r.p.Sinks()[1])
		}
		r.feed(10)
		r.finish(false)
	})
}

func TestAReloadGivesAnOptionalSinkAMomentToOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloadRig(t)
		r.sink("optional 1").Answer = nil
		r.start(r.program("v0", "a", "a"))
		next := optionalProgram(r, "v1", "1")
		open := next.Sinks[1].Open
		next.Sinks[1].Open = func(ctx context.Context, h flow.Host) (flow.Sink, error) {
			time.Sleep(openMoment / 2)
			return open(ctx, h)
		}
		began := time.Now()
		did := r.mustReload(next)
		if d, s := time.Since(began), r.p.Sinks()[1]; d != openMoment/2 || did.Pause != 0 || s.NotOpen != "" {
			t.Errorf("after %s and a pause of %s the sink says %+v", d, did.Pause, s)
		}
		r.feed(10)
		r.finish(false)
	})
}
