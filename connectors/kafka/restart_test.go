//go:build integration

package kafka

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// ownBroker starts a broker for this test alone, which it may kill. Its ports are those of the shared one and the offset.
func ownBroker(t *testing.T, instance string, offset int) (address string, brokers func(args ...string)) {
	t.Helper()
	realBrokers(t)
	brokers = func(args ...string) {
		t.Helper()
		args = append(args, "kafka", "--instance", instance)
		if args[0] == "start" {
			args = append(args, "--port-offset", strconv.Itoa(offset))
		}
		for try := 1; ; try++ {
			cmd := exec.Command("../../scripts/brokers", args...)
			cmd.Env = os.Environ()
			out, err := cmd.CombinedOutput()
			if err == nil {
				return
			}
			t.Logf("brokers %v: %v\n%s", args, err, out)
			if try == 3 { // a machine under load may need more than one start
				t.Errorf("brokers %v failed %d times", args, try)
				return
			}
		}
	}
	brokers("start")
	t.Cleanup(func() { brokers("purge") })
	return fmt.Sprintf("127.0.0.1:%d", 21092+offset), brokers
}

func TestNothingIsLostWhenTheBrokerIsKilled(t *testing.T) {
	address, brokers := ownBroker(t, "kafka-restart", 4300)
	topic := freshTopic(t, address, 3)
	host := connectortest.NewHost(t)
	seen := &seen{counts: map[string]int{}, by: map[string]int{}}
	source := mustSource(t, host, fmt.Sprintf("{brokers: [%q], topics: [%s], group: g}", address, topic))
	run := start(t, source, &settling{source: source, seen: seen, name: "one"})
	s, p := mustSink(t, host, fmt.Sprintf("{brokers: [%q], topic: %s}", address, topic))

	const total = 6000
	killed, restarted := make(chan struct{}), make(chan struct{})
	for from := 0; from < total; from += 100 {
		switch from {
		case total / 3:
			go func() {
				defer close(restarted)
				brokers("kill")
				close(killed)
				brokers("start")
			}()
		case total * 2 / 3:
			<-killed // what follows is sent to a broker that is down
		case total - 100:
			<-restarted
		}
		var outs []*flow.Outgoing
		for _, v := range values(from, from+100) {
			o, err := prepare(p, "kafka", flow.Record{Body: []byte(v), Key: []byte(v)})
			if err != nil {
				t.Fatal(err)
			}
			outs = append(outs, o)
		}
		for len(outs) > 0 {
			send(t, s, outs...)
			var failed []*flow.Outgoing
			for _, o := range outs {
				if o.Err == nil {
					continue
				}
				if e := flow.AsError(o.Err, flow.Transient, flow.CodeUnavailable); e.Class != flow.Transient {
					t.Fatalf("a failure that is not transient: %v", o.Err)
				}
				failed = append(failed, o)
			}
			outs = failed
			if t.Failed() {
				t.FailNow() // the broker does not come back: nothing would ever arrive
			}
		}
	}
	seen.wait(t, total)
	run.end(t)
	run.close(t)
	committed := int64(0)
	for n := range int32(3) {
		committed += committedOffset(t, address, "g", topic, n)
	}
	if committed < total {
		t.Errorf("%d records are committed, want at least %d", committed, total)
	}
}

func TestEachRecordIsThereOnceWhenTheBrokerIsKilled(t *testing.T) {
	address, brokers := ownBroker(t, "kafka-once", 4700)
	in, out := freshTopic(t, address, 3), freshTopic(t, address, 3)
	const total = 60_000
	var rs []*kgo.Record
	for n := range total {
		rs = append(rs, &kgo.Record{Topic: in, Partition: int32(n % 3), Key: fmt.Append(nil, n%30), Value: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	produceAll(t, address, rs...)
	running, stop := startPipeline(t, "one", fmt.Sprintf(`
name: once
delivery: exactly_once
connections: { k: { kafka: { brokers: [%q] } } }
from: { kafka: { use: k, topics: [%s], group: %s } }
steps:
  - throttle: { rate: 10000/s }
to: { kafka: { use: k, topic: %s } }
`, address, in, in, out))
	for round := range 2 {
		for running.Balance().Delivered < int64(total/4*(round+1)) {
			time.Sleep(10 * time.Millisecond)
		}
		brokers("kill")
		brokers("start")
	}
	ids := committedIDs(t, address, total, out)
	if err := stop(); err != nil {
		t.Error(err)
	}
	for n := range total {
		if ids[n] != 1 {
			t.Fatalf("%d is there %d times", n, ids[n])
		}
	}
	t.Logf("%+v", running.Balance())
}
