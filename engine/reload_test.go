package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

func TestASwapExchangesTheGraphWithoutAPause(t *testing.T) {
	r := newReloadRig(t)
	r.start(r.program("v0", "a", "a"))
	for i := range 50 {
		r.feed(200)
		did := r.mustReload(r.program(fmt.Sprint("v", i+1), "a", "a"))
		if did.Pause != 0 || did.Drained != 0 || len(did.KeptSources) != 1 || len(did.KeptSinks) != 1 {
			t.Fatalf("a swap did %+v", did)
		}
		if rev := r.p.Revision(); rev != fmt.Sprintf("v%daa", i+1) {
			t.Fatalf("revision %s runs", rev)
		}
	}
	r.feed(100)
	r.finish(false)
	if r.log.Opened() != 1 || r.sink("a").Opened() != 1 || r.sink("a").Closed() != 1 {
		t.Errorf("the source was opened %d times, the sink %d", r.log.Opened(), r.sink("a").Opened())
	}
	got := r.deliveries()
	if last := got[len(got)-1]; !strings.HasPrefix(last, "v50 ") {
		t.Errorf("at the end %s came", last)
	}
	if n := r.p.Nodes()[0].In; n != int64(2*r.fed) {
		t.Errorf("the node's counter says %d of %d", n, 2*r.fed)
	}
}

func TestABatchMeetsOneRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloadRig(t)
		first := r.program("v0", "a", "a")
		stamp := first.Nodes[0].Processor
		first.Nodes[0].Processor = flow.ProcessorFunc(func(m *flow.Message, e *flow.Emitter) error {
			time.Sleep(time.Second)
			return stamp.Process(m, e)
		})
		r.start(first)
		r.feed(10)
		time.Sleep(5500 * time.Millisecond) // in the middle of the batch
		r.mustReload(r.program("v1", "a", "a"))
		r.feed(10)
		r.finish(false)
		versions := map[string]int{}
		for _, d := range r.deliveries() {
			versions[d[:2]]++
		}
		if versions["v0"] != 20 || versions["v1"] != 20 {
			t.Errorf("versions %v", versions)
		}
	})
}

func TestAReplaceKeepsTheSourceThatDidNotChange(t *testing.T) {
	r := newReloadRig(t)
	r.start(r.program("v", "a", "s0"))
	for i := range 30 {
		r.feed(200)
		sink := fmt.Sprint("s", i+1)
		did := r.mustReload(r.program("v", "a", sink))
		if len(did.KeptSources) != 1 || len(did.KeptSinks) != 0 {
			t.Fatalf("a replace did %+v", did)
		}
		before := r.sink(fmt.Sprint("s", i))
		if before.Closed() != 1 || r.sink(sink).Opened() != 1 {
			t.Fatalf("the old sink was closed %d times, the new one opened %d", before.Closed(), r.sink(sink).Opened())
		}
	}
	r.feed(100)
	r.finish(false)
	if r.log.Opened() != 1 {
		t.Errorf("the source was opened %d times", r.log.Opened())
	}
}

func TestAReplaceTakesOverFromAChangedSource(t *testing.T) {
	for name, single := range map[string]bool{"open beside each other": false, "one at a time": true} {
		t.Run(name, func(t *testing.T) {
			r := newReloadRig(t)
			program := func(source string) *pipelines.Program {
				p := r.program("v", source, "a")
				p.Sources[0].Traits.Single = single
				return p
			}
			r.start(program("0"))
			for i := range 20 {
				r.feed(200)
				did := r.mustReload(program(fmt.Sprint(i + 1)))
				if len(did.KeptSources) != 0 || len(did.KeptSinks) != 1 {
					t.Fatalf("a replace did %+v", did)
				}
			}
			r.feed(100)
			r.finish(false)
			if want := map[bool]int{true: 1, false: 2}[single]; r.log.Opened() != 21 || r.log.Most() != want {
				t.Errorf("the source was opened %d times, %d at a time", r.log.Opened(), r.log.Most())
			}
			if r.sink("a").Opened() != 1 {
				t.Errorf("the sink was opened %d times", r.sink("a").Opened())
			}
		})
	}
}

func TestAStreamIsNotOpenedAgain(t *testing.T) {
	r := newReloadRig(t)
	first, next := r.program("v0", "a", "a"), r.program("v1", "b", "a")
	first.Sources[0].Traits.Stream, next.Sources[0].Traits.Stream = true, true
	r.start(first)
	r.feed(100)
	if _, err := r.reload(next); !errors.Is(err, ErrReadOnce) {
		t.Errorf("the reload: %v", err)
	}
	same := r.program("v2", "a", "a")
	same.Sources[0].Traits.Stream = true
	same.Limits.InFlight = 10
	if did := r.mustReload(same); len(did.KeptSources) != 1 {
		t.Errorf("other limits did %+v", did)
	}
	r.feed(100)
	r.finish(false)
}

func TestOtherLimitsOpenTheSourceAgain(t *testing.T) {
	r := newReloadRig(t)
	r.start(r.program("v0", "a", "a"))
	r.feed(200)
	next := r.program("v1", "a", "a")
	next.Limits.InFlight = 8
	did := r.mustReload(next)
	if len(did.KeptSources) != 0 || len(did.KeptSinks) != 1 {
		t.Errorf("the reload did %+v", did)
	}
	r.feed(200)
	r.finish(false)
	if most := r.p.p.budget.limits.InFlight; most != 8 {
		t.Errorf("%d records may be in flight", most)
	}
}

func TestAReloadFreesWhatWaitsInAPause(t *testing.T) {
	for name, sink := range map[string]string{"by another graph": "a", "by another sink": "b"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReloadRig(t)
				first := r.program("v0", "a", "a")
				stamp := first.Nodes[0].Processor
				first.Nodes[0].Processor = flow.ProcessorFunc(func(m *flow.Message, e *flow.Emitter) error {
					if bytes.HasSuffix(m.Payload(), []byte(".3:13")) {
						return permanent()
					}
					return stamp.Process(m, e)
				})
				r.start(first)
				r.feed(100)
				synctest.Wait()
				if s := r.p.State(); s != Paused {
					t.Fatalf("it is %s", s)
				}
				r.mustReload(r.program("v1", "a", sink))
				if s := r.p.State(); s != Running {
					t.Errorf("it is %s", s)
				}
				r.feed(100)
				r.finish(true) // what was delivered behind what waited is read again
			})
		})
	}
}

func TestAReloadOfAnEndedPipelineSaysSo(t *testing.T) {
	r := newReloadRig(t)
	r.start(r.program("v0", "a", "a"))
	r.feed(10)
	r.finish(false)
	if _, err := r.reload(r.program("v1", "a", "a")); !errors.Is(err, ErrEnded) {
		t.Errorf("the reload: %v", err)
	}
}

func TestAStopInTheMiddleOfAReloadEndsThePipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloadRig(t)
		r.start(r.program("v0", "a", "a"))
		r.feed(100)
		next := r.program("v1", "a", "b")
		next.Sinks[0].Open = func(ctx context.Context, _ flow.Host) (flow.Sink, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		failed := make(chan error, 1)
		go func() {
			_, err := r.p.Reload(context.Background(), next, ReloadOptions{OpenTimeout: time.Hour})
			failed <- err
		}()
		synctest.Wait()
		ctx, cancel := withTimeout(time.Minute)
		defer cancel()
		if err := r.p.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := <-failed; err == nil {
			t.Error("the reload succeeded")
		}
		if r.p.State() != Stopped {
			t.Errorf("it is %s: %v", r.p.State(), r.p.Err())
		}
	})
}

func TestAStopInTheMiddleOfAHandOverEndsThePipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloadRig(t)
		first, next := r.program("v0", "a", "a"), r.program("v1", "b", "a")
		first.Sources[0].Traits.Single, next.Sources[0].Traits.Single = true, true
		next.Sources[0].Open = func(ctx context.Context, _ flow.Host) (flow.Source, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		r.start(first)
		r.feed(100)
		failed := make(chan error, 1)
		go func() {
			_, err := r.p.Reload(context.Background(), next, ReloadOptions{OpenTimeout: time.Hour})
			failed <- err
		}()
		synctest.Wait()
		ctx, cancel := withTimeout(time.Minute)
		defer cancel()
		if err := r.p.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("the reload: %v", err)
		}
		if r.p.State() != Stopped || r.log.OpenNow() != 0 {
			t.Errorf("it is %s, %d readers are open: %v", r.p.State(), r.log.OpenNow(), r.p.Err())
		}
	})
}

func TestRandomReloadsUnderLoadLoseAndRepeatNothing(t *testing.T) {
	r := newReloadRig(t)
	random := rand.New(rand.NewPCG(1, 2))
	r.start(r.program("v", "a", "a"))
	feeding := make(chan struct{})
	go func() {
		defer close(feeding)
		for range 400 {
			r.feed(50)
			time.Sleep(time.Millisecond)
		}
	}()
	failed := 0
	for i := range 200 {
		source, sink := []string{"a", "a", "b"}[random.IntN(3)], []string{"a", "b", "c"}[random.IntN(3)]
		next := r.program(fmt.Sprint("v", i), source, sink)
		next.Sources[0].Traits.Single = source == "b"
		if random.IntN(3) == 0 {
			failed++
			next.Sinks[0].Opened = "broken"
			next.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { return nil, errNo }
			if _, err := r.reload(next); !errors.Is(err, errNo) {
				t.Fatalf("reload %d: %v", i, err)
			}
			continue
		}
		r.mustReload(next)
	}
	<-feeding
	r.finish(false)
	if failed < 40 {
		t.Errorf("only %d reloads failed on purpose", failed)
	}
	for name, s := range r.sinks {
		if s.Opened() != s.Closed() {
			t.Errorf("sink %s was opened %d times and closed %d", name, s.Opened(), s.Closed())
		}
	}
}
