//go:build integration

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
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

func TestKilledPipelinesLoseNothing(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, n := seed(t), kills(t)
	t.Logf("seed %d, %d kills a place; MILLSTREAM_SEED and MILLSTREAM_KILLS set them", s, n)
	routes := map[string]func(t *testing.T, dir, run string) Route{
		"file to file":      func(_ *testing.T, dir, _ string) Route { return &FileRoute{Dir: dir} },
		"kafka to rabbitmq": kafkaToRabbit,
		"rabbitmq to kafka": rabbitToKafka,
	}
	for name, make := range routes {
		for i, place := range append(failpoint.Places(), Random) {
			t.Run(name+"/"+place, func(t *testing.T) {
				dir := t.TempDir()
				run := fmt.Sprintf("r%d-%d-%d", s, i, time.Now().UnixNano())
				plan := &KillPlan{
					Binary: binary, Dir: dir, Run: run, Route: make(t, dir, run), Place: place, Kills: n,
					PerRound: 2000, Keys: 50, Rand: rand.New(rand.NewPCG(s, uint64(i))), Patience: 30 * time.Second,
				}
				if place == Random && plan.Route.Finite() {
					plan.PerRound = 60_000
				}
				v, err := plan.Execute()
				if err != nil {
					t.Fatal(err)
				}
				verdict, _ := json.Marshal(v) //nolint:errchkjson // plain fields cannot fail
				t.Logf("%s", verdict)
				if v.Lost+v.Corrupt+v.OrderViolations+v.Foreign > 0 {
					t.Errorf("lost, corrupt, foreign and out of order must be 0: %s", verdict)
				}
				if v.Repeated > v.Kills*InFlight {
					t.Errorf("%d repeats after %d kills, each had at most %d in flight", v.Repeated, v.Kills, InFlight)
				}
				if place != Random && v.Kills == 0 {
					t.Errorf("failpoint %s killed nothing", place)
				}
			})
		}
	}
}

func kafkaToRabbit(t *testing.T, _, run string) Route {
	from, to := kafkaEnd(t, run), rabbitEnd(t, run)
	return &KafkaToRabbit{From: from, To: to}
}

func rabbitToKafka(t *testing.T, _, run string) Route {
	from, to := rabbitEnd(t, run), kafkaEnd(t, run)
	return &RabbitToKafka{From: from, To: to}
}

func kafkaEnd(t *testing.T, topic string) *KafkaEnd {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	k, err := NewKafkaEnd(ctx, broker(t, "MILLSTREAM_KAFKA", "kafka"), topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func rabbitEnd(t *testing.T, queue string) *RabbitEnd {
	r, err := NewRabbitEnd(broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq"), queue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}
