//go:build integration

package faults

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

func TestAProcessKilledInAReloadRunsTheOldRevisionOrTheNewOne(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, n := seed(t), number(t, "MILLSTREAM_KILLS", 1)
	t.Logf("seed %d, %d kills a place; MILLSTREAM_SEED and MILLSTREAM_KILLS set them", s, n)
	for i, place := range append(ReloadPlaces(), Random) {
		for _, change := range Changes() {
			t.Run(place+"/"+string(change), func(t *testing.T) {
				plan := &ReloadPlan{
					Binary: binary, Dir: t.TempDir(), Run: fmt.Sprintf("l%d-%d", s, i), Place: place, Change: change, Kills: n,
					PerRound: 4000, Keys: 50, Rand: rand.New(rand.NewPCG(s, uint64(i))), Patience: 20 * time.Second,
				}
				v, err := plan.Execute()
				verdict, _ := json.Marshal(v) //nolint:errchkjson // plain fields cannot fail
				t.Logf("%s", verdict)
				if err != nil {
					t.Fatal(err)
				}
				if v.Lost+v.Corrupt+v.OrderViolations+v.Foreign > 0 || v.Kills != n {
					t.Errorf("lost, corrupt, foreign and out of order must be 0, and all rounds end by a kill: %s", verdict)
				}
				if v.Repeated > v.Kills*InFlight {
					t.Errorf("%d repeats after %d kills, each had at most %d in flight", v.Repeated, v.Kills, InFlight)
				}
			})
		}
	}
}

func TestAStormOfReloadsLosesAndRepeatsNothing(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, n := seed(t), number(t, "MILLSTREAM_RELOADS", 24)
	for _, route := range []string{"follow-file", "kafka-rabbitmq", "rabbitmq-kafka"} {
		t.Run(route, func(t *testing.T) {
			w := where(t, route)
			w.Run = fmt.Sprintf("storm%d-%d", s, os.Getpid())
			storm := &Storm{
				Binary: binary, Dir: t.TempDir(), Name: route, Where: w, Reloads: n, Invalid: max(11, n*3/10), Rate: number(t, "MILLSTREAM_RATE", 4000), Keys: 50,
				Rand: rand.New(rand.NewPCG(s, 7)), Patience: 30 * time.Second,
			}
			v, err := storm.Execute(t.Context())
			verdict, _ := json.Marshal(v) //nolint:errchkjson // plain fields cannot fail
			t.Logf("seed %d: %s", s, verdict)
			if err != nil {
				t.Fatal(err)
			}
			judgeStorm(t, storm, &v)
		})
	}
}

func judgeStorm(t *testing.T, storm *Storm, v *StormVerdict) {
	t.Helper()
	if !v.Good(0) || v.Repeated+v.Mixed+v.Backwards > 0 || v.SwapPause != 0 {
		t.Error("lost, repeated, corrupt, foreign, out of order, mixed, backwards and the pause of swaps must be 0")
	}
	if v.Applied != storm.Reloads-storm.Invalid || v.Refused != storm.Invalid {
		t.Errorf("applied %d, refused %d", v.Applied, v.Refused)
	}
	if !v.Still.Good(0) || v.Still.Connects+v.Still.Joins > 0 {
		t.Errorf("the pipeline that did not change has noticed: %+v", v.Still)
	}
	if v.FilesAfter > v.FilesBefore {
		t.Errorf("%d descriptors at the end, %d at the start", v.FilesAfter, v.FilesBefore)
	}
	if v.ReadersAfter != v.ReadersBefore {
		t.Errorf("%d consumers at the end, %d at the start", v.ReadersAfter, v.ReadersBefore)
	}
	if v.Goroutines > v.GoroutinesFresh+stormSlack {
		t.Errorf("%d goroutines at the end, %d in a process that has seen no reload", v.Goroutines, v.GoroutinesFresh)
	}
}

// stormSlack is how many goroutines may come and go by themselves, such as those of idle connections.
const stormSlack = 12
