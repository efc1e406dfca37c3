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

func TestAFollowedFileLosesNothingToKillsAndRotation(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, n := seed(t), 20
	if os.Getenv("MILLSTREAM_KILLS") != "" {
		n = kills(t)
	}
	t.Logf("seed %d, %d kills; MILLSTREAM_SEED and MILLSTREAM_KILLS set them", s, n)
	plan := &FollowPlan{
		Binary: binary, Dir: t.TempDir(), Run: fmt.Sprintf("f%d", s), Kills: n, Most: 40_000 * (n + 1), Keys: 50,
		Rand: rand.New(rand.NewPCG(s, 99)), Patience: 30 * time.Second,
	}
	v, err := plan.Execute()
	verdict, _ := json.Marshal(v) //nolint:errchkjson // plain fields cannot fail
	t.Logf("%s, renamed %d times, cut %d times", verdict, plan.Renamed, plan.Cut)
	if err != nil {
		t.Fatal(err)
	}
	if v.Lost+v.Corrupt+v.OrderViolations+v.Foreign > 0 {
		t.Errorf("lost, corrupt, foreign and out of order must be 0: %s", verdict)
	}
	if v.Repeated > v.Kills*InFlight {
		t.Errorf("%d repeats after %d kills, each had at most %d in flight", v.Repeated, v.Kills, InFlight)
	}
	if plan.Renamed == 0 {
		t.Error("the file was never renamed")
	}
}
