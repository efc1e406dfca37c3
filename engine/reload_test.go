package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/engine/enginetest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

// reloadRig is a pipeline that reads a log and writes to sinks, and is changed while it runs.
type reloadRig struct {
	t      *testing.T
	engine *Engine
	log    *enginetest.Log
	p      *Pipeline

	mu    sync.Mutex
	got   []string // what all sinks got, in order: version body
	sinks map[string]*enginetest.Sink
	fed   int
}

func newReloadRig(t *testing.T) *reloadRig {
	t.Helper()
	return &reloadRig{
		t: t, engine: New(Options{Logger: slog.New(slog.DiscardHandler), Instance: "test"}), log: enginetest.NewLog(2),
		sinks: map[string]*enginetest.Sink{},
	}
}

// sink is the sink that is opened for one configuration; all of them lead to the same place.
func (r *reloadRig) sink(opened string) *enginetest.Sink {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sinks[opened]
	if s == nil {
		s = &enginetest.Sink{Answer: func(o *flow.Outgoing) error {
			version := ""
			for _, h := range o.Headers() {
				if h.Name == "version" {
					version = h.Text()
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got = append(r.got, version+" "+string(o.Body))
			return nil
		}}
		r.sinks[opened] = s
	}
	return s
}

// program stamps a version on what it leads from the source, opened as said, to the sink, opened as said.
func (r *reloadRig) program(version, source, sink string) *pipelines.Program {
	paths := document.NewPaths()
	paths.Freeze()
	s := r.sink(sink)
	return &pipelines.Program{
		Name: "p", Hash: version + source + sink, Limits: pipelines.DefaultLimits(), Paths: paths,
		Sources: []pipelines.Source{{
			Name: "in", Connector: "log", Open: r.log.Open, Opened: source, Traits: flow.Traits{Keyed: true}, OnError: pipelines.DefaultPolicy(),
			Out: []pipelines.Edge{{Index: 0}},
		}},
		Nodes: []pipelines.Node{{
			Name: "stamp", Verb: "test", OnError: pipelines.DefaultPolicy(), Ports: [][]pipelines.Edge{{{Sink: true}}},
			Processor: flow.ProcessorFunc(func(m *flow.Message, e *flow.Emitter) error {
				e.Emit(0, m)
				return m.SetMeta("version", value.String(version))
			}),
		}},
		Sinks: []pipelines.Sink{{
			Name: "out", Connector: "memory", Open: s.Open, Opened: sink, Preparer: s, OnError: pipelines.DefaultPolicy(),
			Traits: flow.Traits{Headers: true},
		}},
	}
}

func (r *reloadRig) start(prog *pipelines.Program) {
	r.t.Helper()
	p, err := r.engine.Start(context.Background(), prog)
	if err != nil {
		r.t.Fatal(err)
	}
	r.p = p
}

// feed appends n records of ten keys to each partition.
func (r *reloadRig) feed(n int) {
	for part := range 2 {
		for i := range n {
			key := fmt.Sprintf("k%d.%d", part, i%10)
			r.log.Append(part, flow.Record{Key: []byte(key), Body: []byte(key + ":" + strconv.Itoa(r.fed+i))})
		}
	}
	r.fed += n
}

func (r *reloadRig) reload(next *pipelines.Program) (Reloaded, error) {
	return r.p.Reload(context.Background(), next, ReloadOptions{DrainTimeout: time.Second, OpenTimeout: 2 * time.Second})
}

func (r *reloadRig) mustReload(next *pipelines.Program) Reloaded {
	r.t.Helper()
	did, err := r.reload(next)
	if err != nil {
		r.t.Fatal(err)
	}
	return did
}

func (r *reloadRig) deliveries() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

// finish lets the log end and checks that everything arrived, in order per key, and how much came twice.
func (r *reloadRig) finish(repeats bool) {
	r.t.Helper()
	r.log.End()
	<-r.p.Done()
	if err := r.p.Err(); err != nil {
		r.t.Errorf("the pipeline failed: %v", err)
	}
	if b := r.p.Balance(); !b.Even() || b.InFlight != 0 {
		r.t.Errorf("the balance is not even: %+v", b)
	}
	if m := r.log.Misuse(); len(m) > 0 {
		r.t.Errorf("the source was misused: %v", m)
	}
	if got := r.log.Committed(); got != 2*r.fed {
		r.t.Errorf("%d of %d records are acknowledged", got, 2*r.fed)
	}
	if n := r.log.OpenNow(); n != 0 {
		r.t.Errorf("%d readers are open at the end", n)
	}
	r.judge(repeats)
}

func (r *reloadRig) judge(repeats bool) {
	r.t.Helper()
	next, seen := map[string]int{}, map[string]bool{}
	for _, d := range r.deliveries() {
		_, body, _ := strings.Cut(d, " ")
		key, number, _ := strings.Cut(body, ":")
		n, _ := strconv.Atoi(number)
		switch {
		case seen[body] && !repeats:
			r.t.Fatalf("%s came again", body)
		case n > next[key] && (next[key] != 0 || n >= 10):
			r.t.Fatalf("%s came when %d was due", body, next[key])
		}
		seen[body] = true
		next[key] = max(next[key], n+10)
	}
	if len(seen) != 2*r.fed {
		r.t.Errorf("%d of %d records arrived", len(seen), 2*r.fed)
	}
}

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

var errNo = errors.New("no")

func TestWhatCannotOpenLeavesTheOldRevisionUntouched(t *testing.T) {
	for name, spoil := range map[string]func(p *pipelines.Program){
		"a sink": func(p *pipelines.Program) {
			p.Sinks[0].Opened = "b"
			p.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { return nil, errNo }
		},
		"a source": func(p *pipelines.Program) {
			p.Sources[0].Opened = "b"
			p.Sources[0].Open = func(context.Context, flow.Host) (flow.Source, error) { return nil, errNo }
		},
		"a source of which there can be one": func(p *pipelines.Program) {
			p.Sources[0].Opened, p.Sources[0].Traits.Single = "b", true
			p.Sources[0].Connect = func(context.Context, flow.Host) error { return errNo }
		},
		"a sink that panics": func(p *pipelines.Program) {
			p.Sinks[0].Opened = "b"
			p.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { panic(errNo) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReloadRig(t)
			r.start(r.program("v0", "a", "a"))
			r.feed(200)
			next := r.program("v1", "a", "a")
			spoil(next)
			did, err := r.reload(next)
			if err == nil || !strings.Contains(err.Error(), "no") || did.RolledBack || did.Pause != 0 {
				t.Fatalf("the reload did %+v: %v", did, err)
			}
			r.feed(200)
			r.finish(false)
			if r.log.Opened() != 1 || r.sink("a").Opened() != 1 || r.p.Revision() != "v0aa" {
				t.Errorf("opened %d, %d; %s runs", r.log.Opened(), r.sink("a").Opened(), r.p.Revision())
			}
		})
	}
}

func TestASourceThatCannotTakeOverIsRolledBack(t *testing.T) {
	rollBack := func(t *testing.T, refused int) (*reloadRig, Reloaded, error) {
		r := newReloadRig(t)
		r.log.Refuse = func(n int) error {
			if n > 1 && n <= 1+refused {
				return errNo
			}
			return nil
		}
		first, next := r.program("v0", "a", "a"), r.program("v1", "b", "a")
		first.Sources[0].Traits.Single, next.Sources[0].Traits.Single = true, true
		r.start(first)
		r.feed(200)
		did, err := r.reload(next)
		r.feed(200)
		return r, did, err
	}
	t.Run("to the old one, which is tried until it opens", func(t *testing.T) {
		r, did, err := rollBack(t, 3)
		if !errors.Is(err, errNo) || !did.RolledBack || r.p.Revision() != "v0aa" {
			t.Errorf("the reload did %+v: %v", did, err)
		}
		r.finish(false)
	})
	t.Run("and when that fails too, the pipeline has failed", func(t *testing.T) {
		r, did, err := rollBack(t, 1000)
		if !errors.Is(err, errNo) || did.RolledBack {
			t.Errorf("the reload did %+v: %v", did, err)
		}
		<-r.p.Done()
		if r.p.State() != Failed || !strings.Contains(r.p.Err().Error(), "roll back") {
			t.Errorf("%s: %v", r.p.State(), r.p.Err())
		}
	})
}

func TestASinkThatCannotTakeOverIsRolledBack(t *testing.T) {
	r := newReloadRig(t)
	first, next := r.program("v0", "a", "a"), r.program("v1", "a", "b")
	first.Sinks[0].Traits.Single, next.Sinks[0].Traits.Single = true, true
	next.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { return nil, errNo }
	r.start(first)
	r.feed(200)
	did, err := r.reload(next)
	if !errors.Is(err, errNo) || !did.RolledBack {
		t.Errorf("the reload did %+v: %v", did, err)
	}
	r.feed(200)
	r.finish(false)
	if r.log.Opened() != 1 || r.sink("a").Opened() != 2 || r.sink("a").Closed() != 2 {
		t.Errorf("the source was opened %d times, the sink %d", r.log.Opened(), r.sink("a").Opened())
	}
}

func TestAStalledSinkHoldsAReloadNoLongerThanItsDrain(t *testing.T) {
	t.Run("what it holds is read again by the new revision", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newReloadRig(t)
			r.sink("a").Gate = make(chan struct{})
			r.start(r.program("v0", "a", "a"))
			r.feed(200)
			synctest.Wait()
			began := time.Now()
			did := r.mustReload(r.program("v1", "a", "b"))
			if took := time.Since(began); took != time.Second {
				t.Errorf("the reload took %s", took)
			}
			if len(did.KeptSources) != 0 || did.Drained != 0 {
				t.Errorf("the reload did %+v", did)
			}
			r.feed(200)
			r.finish(false)
			if r.log.Opened() != 2 || r.sink("a").Closed() != 1 {
				t.Errorf("the source was opened %d times, the sink closed %d", r.log.Opened(), r.sink("a").Closed())
			}
		})
	})
	t.Run("a source that cannot be read again goes on under the old one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newReloadRig(t)
			r.sink("a").Gate = make(chan struct{})
			first, next := r.program("v0", "a", "a"), r.program("v1", "a", "b")
			first.Sources[0].Traits.Stream, next.Sources[0].Traits.Stream = true, true
			r.start(first)
			r.feed(200)
			synctest.Wait()
			if _, err := r.reload(next); !errors.Is(err, ErrStalled) {
				t.Errorf("the reload: %v", err)
			}
			close(r.sink("a").Gate)
			r.feed(200)
			r.finish(false)
			if r.log.Opened() != 1 || r.sink("b").Opened() != 1 || r.sink("b").Closed() != 1 {
				t.Errorf("opened %d, %d", r.log.Opened(), r.sink("b").Opened())
			}
		})
	})
	t.Run("a swap does not wait for it at all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newReloadRig(t)
			r.sink("a").Gate = make(chan struct{})
			r.start(r.program("v0", "a", "a"))
			r.feed(200)
			synctest.Wait()
			began := time.Now()
			r.mustReload(r.program("v1", "a", "a"))
			if took := time.Since(began); took != 0 {
				t.Errorf("the swap took %s", took)
			}
			close(r.sink("a").Gate)
			r.finish(false)
		})
	})
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
