//go:build integration

package faults

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millstream/millstream/internal/failpoint"
)

// kills is how often each place of each route is killed: MILLSTREAM_KILLS, 2 by default.
func kills(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("MILLSTREAM_KILLS"))
	if os.Getenv("MILLSTREAM_KILLS") == "" {
		return 2
	}
	if err != nil {
		t.Fatalf("MILLSTREAM_KILLS: %v", err)
	}
	return n
}

func seed(t *testing.T) uint64 {
	if s := os.Getenv("MILLSTREAM_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("MILLSTREAM_SEED: %v", err)
		}
		return n
	}
	return uint64(time.Now().UnixNano())
}

// broker returns the address of a broker; without one the test is skipped, or fails where it is required.
func broker(t *testing.T, variable, name string) string {
	addr := os.Getenv(variable)
	if addr == "" {
		if strings.Contains(os.Getenv("MILLSTREAM_REQUIRE_BROKERS"), name) {
			t.Fatalf("%s is empty and MILLSTREAM_REQUIRE_BROKERS wants %s", variable, name)
		}
		t.Skipf("%s is empty: start the brokers with scripts/brokers start", variable)
	}
	return addr
}

// where gives the addresses of the brokers that a route needs.
func where(t *testing.T, route string) (w Where) {
	if strings.Contains(route, "kafka") {
		w.Kafka = broker(t, "MILLSTREAM_KAFKA", "kafka")
	}
	if strings.Contains(route, "rabbitmq") {
		w.Rabbit = broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq")
	}
	return w
}

func rig(t *testing.T, s Setup) *Rig {
	t.Helper()
	s.Dir, s.Rate, s.Keys, s.Poison, s.Patience, s.Say = t.TempDir(), 2000, 50, 100, 30*time.Second, t.Logf
	r, err := NewRig(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Route.Close)
	return r
}

// judge fails the test unless the verdict is good.
func judge(t *testing.T, v *Verdict, bound int, err error) {
	t.Helper()
	verdict, _ := json.Marshal(v) //nolint:errchkjson // plain fields cannot fail
	t.Logf("%s", verdict)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Good(bound) {
		t.Errorf("lost, corrupt, foreign, misplaced, out of order and the exit code must be 0, and %d may come again", bound)
	}
	if v.DeadLettered == 0 {
		t.Error("no message was bad")
	}
}

func TestKilledPipelinesLoseNothing(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, n := seed(t), kills(t)
	t.Logf("seed %d, %d kills a place; MILLSTREAM_SEED and MILLSTREAM_KILLS set them", s, n)
	// All places on three routes; those that differ in source and sink alone are killed at random.
	everywhere := map[string]bool{"file-file": true, "kafka-rabbitmq": true, "rabbitmq-kafka": true}
	for _, route := range Routes() {
		places := []string{Random}
		if everywhere[route] {
			places = append(failpoint.Places(), failpoint.AfterLetter, Random)
		}
		if route == "follow-file" {
			places = append(failpoint.Positions(), Random)
		}
		for _, place := range places {
			t.Run(route+"/"+place, func(t *testing.T) {
				t.Parallel()
				r := rig(t, Setup{Binary: binary, Route: route, Seed: s, Where: where(t, route)})
				v, err := (&Kill{Rig: r, Place: place, Kills: n}).Execute()
				judge(t, &v, r.Bound(v.Kills), err)
			})
		}
	}
}
