//go:build integration

package faults

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestAProcessKilledInAReloadRunsTheOldRevisionOrTheNewOne(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, n := seed(t), kills(t)
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
	s := seed(t)
	dir := t.TempDir()
	storm := &Storm{
		Binary: binary, Dir: dir, Run: fmt.Sprintf("t%d", s), Route: &FileStorm{FileRoute{Dir: dir}}, Reloads: 200, Invalid: 60,
		Messages: 200_000, Keys: 50, Rand: rand.New(rand.NewPCG(s, 7)), Patience: 30 * time.Second,
	}
	v, err := storm.Execute(t.Context())
	verdict, _ := json.Marshal(v) //nolint:errchkjson // plain fields cannot fail
	t.Logf("seed %d: %s, pauses of %d replaces: half %s, 99 of 100 %s", s, verdict, len(v.ReplacePauses), v.Quantile(0.5), v.Quantile(0.99))
	if err != nil {
		t.Fatal(err)
	}
	if v.Lost+v.Repeated+v.Corrupt+v.OrderViolations+v.Foreign+v.Mixed+v.Backwards > 0 || v.SwapPause != 0 {
		t.Errorf("lost, repeated, corrupt, foreign, out of order, mixed, backwards and the pause of swaps must be 0: %s", verdict)
	}
	if v.Applied != storm.Reloads-storm.Invalid || v.Refused != storm.Invalid {
		t.Errorf("applied %d, refused %d", v.Applied, v.Refused)
	}
	if v.FilesAfter > v.FilesBefore {
		t.Errorf("%d descriptors at the end, %d at the start", v.FilesAfter, v.FilesBefore)
	}
}
