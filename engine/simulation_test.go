package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
)

var oneSeed = flag.Uint64("sim.seed", 0, "run the simulation with this seed alone, and print its events")

// TestSimulation runs random pipelines with random failures on simulated time, one seed each. MILLSTREAM_SIM_SEEDS says how many.
func TestSimulation(t *testing.T) {
	if *oneSeed != 0 {
		w := simulate(t, *oneSeed, 0)
		t.Log(w.report())
		if len(w.violations) > 0 {
			t.Fail()
		}
		return
	}
	seeds := 300
	if s := os.Getenv("MILLSTREAM_SIM_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("MILLSTREAM_SIM_SEEDS: %v", err)
		}
		seeds = n
	}
	var next atomic.Uint64
	for i := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("worker ", i), func(t *testing.T) {
			t.Parallel()
			for seed := next.Add(1); seed <= uint64(seeds) && !t.Failed(); seed = next.Add(1) {
				if w := simulate(t, seed, 0); len(w.violations) > 0 {
					t.Error(w.report())
				}
			}
		})
	}
}

// stuckOnPurpose: a rule was broken on purpose, and the engine got stuck over it. Its goroutines stay.
var stuckOnPurpose bool

// simulate runs one seed, with a rule broken when broken is not 0.
func simulate(t *testing.T, seed uint64, broken fault) (w *world) {
	defer func() {
		if x := recover(); x != nil { // synctest found a deadlock
			if broken != 0 { // unbroken ones run side by side
				stuckOnPurpose = true
			}
			stacks := make([]byte, 1<<16)
			w.violate("%v\n%s", x, stacks[:runtime.Stack(stacks, true)])
		}
	}()
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed)
		for w.round < maxRounds && len(w.violations) == 0 && !w.complete() {
			w.run(broken)
			w.round++
		}
		w.judge()
		time.Sleep(time.Minute) // for those who still hold messages; time stands still once this function returns
	})
	return w
}

// maxRounds is how often a pipeline is started at most. From healRound on nothing fails and nobody interferes.
const (
	maxRounds = 8
	healRound = 4
)

// run starts the pipeline, lets it run, and ends it somehow: because its sources are exhausted, by a drain with enough time or with too
// little, or by a crash.
func (w *world) run(broken fault) {
	e := New(Options{
		Logger: slog.New(slog.DiscardHandler), Instance: "sim",
		Unhandled: func(Unhandled) { w.mu.Lock(); w.unhandled++; w.mu.Unlock() },
	})
	e.random = func(n int64) int64 { return int64(w.intn(int(n))) }
	if w.seed%3 != 0 {
		e.mostMade = 1 << 40 // the limits are so small that all batches would wait for their turn
	}
	if broken != 0 {
		e.broken = func(f fault) bool { return f == broken }
	}
	w.mu.Lock()
	w.crashed, w.healed = false, w.round >= healRound
	w.mu.Unlock()
	clear(w.running)
	p, err := e.Start(context.Background(), w.program)
	if err != nil {
		w.violate("start: %v", err)
		return
	}
	patience := time.Hour
	ending := w.intn(5)
	if ending > 0 && !w.healed {
		patience = time.Duration(w.intn(400)) * time.Millisecond
	}
	var late sync.WaitGroup
	if w.watch(p, patience) {
		if w.intn(4) == 0 {
			late.Go(func() { w.reload(p) })
		}
		w.end(p, ending)
	}
	late.Wait()
	b := p.Balance()
	w.resent += b.Resent
	if !b.Even() || b.InFlight != 0 {
		w.violate("the balance is not even: %+v", b)
	}
}

// watch waits for the pipeline to end by itself, and resumes it when it pauses. It reports whether it has to be ended.
func (w *world) watch(p *Pipeline, patience time.Duration) bool {
	deadline := time.After(patience)
	every := time.Hour
	if w.intn(2) == 0 && !w.healed {
		every = time.Duration(5+w.intn(200)) * time.Millisecond
	}
	reloads, resumes := time.NewTicker(every), time.NewTicker(400*time.Millisecond)
	defer reloads.Stop()
	defer resumes.Stop()
	for {
		select {
		case <-p.Done():
			return false
		case <-deadline:
			if patience == time.Hour {
				w.violate("the pipeline hangs in state %s: %+v", p.State(), p.Balance())
			}
			return true
		case <-reloads.C:
			w.reload(p)
		case <-resumes.C:
			if p.State() == Paused {
				w.mu.Lock()
				w.healed = w.healed || w.rng.IntN(3) == 0
				w.mu.Unlock()
				p.Resume()
			}
		}
	}
}

func (w *world) end(p *Pipeline, ending int) {
	within := []time.Duration{0, time.Hour, time.Hour, 30 * time.Millisecond, 0}[ending]
	if ending == 4 {
		w.log("crash", "", "")
		w.mu.Lock()
		w.crashed = true
		w.mu.Unlock()
	} else {
		w.log("stop", "", within.String())
	}
	before := w.paused()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	err := p.Stop(ctx)
	w.log("stopped", "", fmt.Sprint(err))
	switch {
	case err != nil && within == time.Hour:
		w.violate("a drain with an hour of time: %v", err)
	case err != nil && !errors.Is(err, ErrDeadline):
		w.violate("stop: %v", err)
	}
	if within == time.Hour && before+w.paused() == 0 && !w.abandoned && p.Balance().Returned > 0 {
		w.violate("a clean drain gave %d records back", p.Balance().Returned)
	}
}

// paused is how many messages no on_error settled.
func (w *world) paused() int { w.mu.Lock(); defer w.mu.Unlock(); return w.unhandled }

// complete reports whether every record that can come again is settled.
func (w *world) complete() bool {
	for _, s := range w.sources {
		for _, p := range s.parts {
			for i := range p.records {
				if !p.records[i].settled && !p.records[i].gone {
					return false
				}
			}
		}
	}
	return true
}

// judge checks what can be told only at the end.
func (w *world) judge() {
	if len(w.violations) > 0 {
		return
	}
	if !w.complete() {
		w.violate("records are not settled after %d rounds without failures", maxRounds-healRound)
	}
	for _, s := range w.sinks {
		s.judgeRepeats()
		s.judgeOrder()
	}
}

var _ flow.Source = (*simReader)(nil)
