//go:build integration

package amqp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// ownBroker starts a broker for this test alone, which it may kill.
func ownBroker(t *testing.T) (url string, brokers func(args ...string)) {
	t.Helper()
	brokerURL(t)
	const instance = "amqp-restart"
	brokers = func(args ...string) {
		t.Helper()
		args = append(args, "rabbitmq", "--instance", instance)
		if args[0] == "start" {
			args = append(args, "--port-offset", "4100")
		}
		cmd := exec.Command("../../scripts/brokers", args...)
		cmd.Env = append(os.Environ(), "BROKERS_INSTANCE="+instance)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("brokers %v: %v\n%s", args, err, out)
		}
	}
	brokers("start")
	t.Cleanup(func() { brokers("purge") })
	return "amqp://test:test@127.0.0.1:29772/", brokers
}

// collector takes everything, settles it and counts.
type collector struct {
	source flow.Source
	mu     sync.Mutex
	seen   map[string]int
	lanes  map[*flow.Lane]bool
}

func (c *collector) Push(ctx context.Context, b *flow.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	for k := range b.Records {
		c.seen[string(b.Records[k].Body)]++
	}
	c.lanes[b.Lane] = true
	c.mu.Unlock()
	settle(c.source, []*flow.Batch{b}, delivered)
	return nil
}

func TestNothingIsLostWhenTheBrokerIsKilled(t *testing.T) {
	url, brokers := ownBroker(t)
	t.Run("native", func(t *testing.T) {
		if lanes := surviveAKill(t, url, brokers, 6000, "survivors", ""); lanes < 2 {
			t.Error("the source never reconnected: the broker was not killed in the middle")
		}
	})
	t.Run("watermill", func(t *testing.T) {
		surviveAKill(t, url, brokers, 1000, "stock-survivors", ", driver: watermill", "mandatory: false")
	})
}

// young is how old a queue must be to outlive its broker's being killed: RabbitMQ keeps what was declared a little later.
const young = 5 * time.Second

// surviveAKill sends messages through a queue and kills the broker meanwhile.
func surviveAKill(t *testing.T, url string, brokers func(args ...string), total int, queue, driver string, sinkOnly ...string) (lanes int) {
	host := connectortest.NewHost(t)
	c := &collector{seen: map[string]int{}, lanes: map[*flow.Lane]bool{}}
	c.source = mustSource(t, host, fmt.Sprintf("{url: %q, queue: %s, declare: {}%s}", url, queue, driver))
	run := start(t, c.source, c)
	time.Sleep(young)
	s, p := mustSink(t, host, fmt.Sprintf("{url: %q, routing_key: %s%s}", url, queue, strings.Join(append([]string{driver}, sinkOnly...), ", ")))
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		time.Sleep(300 * time.Millisecond)
		brokers("kill")
		brokers("start")
	}()
	resent := 0
	for from := 0; from < total; from += 100 {
		if from == total/2 {
			<-killed
		}
		outs, err := prepareBodies(p, values(from, from+100)...)
		if err != nil {
			t.Fatal(err)
		}
		for {
			send(t, s, outs...)
			var failed []*flow.Outgoing
			for _, o := range outs {
				if o.Err != nil {
					if e := flow.AsError(o.Err, flow.Transient, flow.CodeUnavailable); e.Class != flow.Transient {
						t.Fatalf("a failure that is not transient: %v", o.Err)
					}
					failed = append(failed, o)
				}
			}
			if len(failed) == 0 {
				break
			}
			resent += len(failed)
			outs = failed
		}
	}
	late := time.Now().Add(patience)
	for {
		c.mu.Lock()
		n := len(c.seen)
		lanes = len(c.lanes)
		c.mu.Unlock()
		if n == total {
			t.Logf("%d sent again, %d lanes", resent, lanes)
			break
		}
		if time.Now().After(late) {
			var missing []string
			for _, v := range values(0, total) {
				if c.seen[v] == 0 {
					missing = append(missing, v)
				}
			}
			t.Fatalf("%d of %d arrived; lost: %.300s", n, total, strings.Join(missing, " "))
		}
		time.Sleep(50 * time.Millisecond)
	}
	run.close(t)
	return lanes
}
