package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// TestApplyingAPlanEqualsStarting goes from one random set of programs to another and expects what starting the second one alone would
// give: the same pipelines, each leading messages as its program says. What did not change must not have noticed.
func TestApplyingAPlanEqualsStarting(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			r := newRig(t)
			set := func() (programs []*pipelines.Program) {
				for i := range 5 {
					if random.IntN(3) > 0 {
						programs = append(programs, r.program(fmt.Sprint("p", i), fmt.Sprint(random.IntN(3)), opened(fmt.Sprint(random.IntN(2)))))
					}
				}
				return programs
			}
			a, b := set(), set()
			r.apply(a...)
			r.feed("before")
			before := r.openings()
			receipt := r.apply(b...)
			r.feed("after")
			for _, s := range receipt.Steps {
				if want := map[bool]fleet.Outcome{true: fleet.Kept, false: fleet.Done}[s.Action == pipelines.Keep]; s.Outcome != want {
					t.Errorf("seed %d: the step is %+v", seed, s)
				}
				opened := r.openings()[s.Pipeline] - before[s.Pipeline]
				if want := map[bool]int{true: 1, false: 0}[s.Action == pipelines.Start]; opened != want {
					t.Errorf("seed %d: %s opened the source of %s %d times", seed, s.Action, s.Pipeline, opened)
				}
			}
			running := r.fleet.Running()
			if len(running) != len(b) {
				t.Fatalf("seed %d: %d programs run, want %d", seed, len(running), len(b))
			}
			for i, p := range running {
				if p != b[i] && p.Hash != b[i].Hash {
					t.Errorf("seed %d: %s runs %s, want %s", seed, p.Name, p.Hash, b[i].Hash)
				}
				all := r.sinks[p.Name].Delivered()
				last := all[len(all)-1]
				if string(last.Body) != "after" || last.Headers[0].Text() != b[i].Nodes[0].Hash {
					t.Errorf("seed %d: %s delivered %s of %s", seed, p.Name, last.Body, last.Headers[0].Text())
				}
			}
			for _, s := range pipelines.Plan(running, b) {
				if s.Action != pipelines.Keep {
					t.Errorf("seed %d: then the plan is %+v", seed, s)
				}
			}
			r.end()
		})
	}
}

// feed gives each running pipeline a message, and waits for it.
func (r *rig) feed(body string) {
	for _, p := range r.fleet.Running() {
		r.logs[p.Name].Append(0, flow.Record{Body: []byte(body)})
	}
	synctest.Wait()
}

func (r *rig) openings() map[string]int {
	n := map[string]int{}
	for name, log := range r.logs {
		n[name] = log.Opened()
	}
	return n
}
