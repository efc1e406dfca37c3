//go:build integration

package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func TestAPatternFindsTopicsThatAreMadeLater(t *testing.T) {
	brokers := realBrokers(t)
	group := freshName(t)
	first := freshTopic(t, brokers, 1)
	prefix := first[:len(first)-8]
	in := newIntake()
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: ['/%s.{8}/'], group: %s}", brokers, prefix, group))
	produceAll(t, brokers, numbered(first, 0, 5)...)
	run := start(t, s, in)
	in.waitFor(t, 5)
	second := freshTopic(t, brokers, 2)
	produceAll(t, brokers, numbered(second, 5, 10)...)
	in.waitFor(t, 5)
	got := map[string]int{}
	for _, b := range in.take() {
		for k := range b.Records {
			got[b.Records[k].Topic]++
		}
		settle(s, []*flow.Batch{b}, delivered)
	}
	if got[first] != 5 || got[second] != 5 || len(got) != 2 {
		t.Errorf("read %v", got)
	}
	run.end(t)
	run.close(t)
}

func TestMembersComeAndGoWithBothBalancers(t *testing.T) {
	brokers := realBrokers(t)
	for _, balance := range []string{"cooperative", "eager"} {
		t.Run(balance, func(t *testing.T) {
			topic := freshTopic(t, brokers, 6)
			text := fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s, balance: %s}", brokers, topic, topic, balance)
			seen := &seen{counts: map[string]int{}, by: map[string]int{}}
			member := func(name string) *running {
				host := connectortest.NewHost(t)
				host.ComponentName = name
				s := mustSource(t, host, text)
				return start(t, s, &settling{source: s, seen: seen, name: name})
			}
			made := 0
			produce := func() {
				rs := numbered(topic, made, made+600)
				for i, r := range rs {
					r.Partition = int32(i % 6)
				}
				produceAll(t, brokers, rs...)
				made += 600
			}
			stays := member("stays")
			for round := range 3 {
				name := fmt.Sprintf("comes%d", round)
				comes := member(name)
				for seen.of(name) == 0 {
					produce()
				}
				comes.end(t)
				comes.close(t)
				produce()
			}
			seen.wait(t, made)
			stays.end(t)
			stays.close(t)
			for v, n := range seen.counts {
				if n != 1 {
					t.Errorf("%s came %d times although every member stopped in order", v, n)
				}
			}
		})
	}
}

func TestWhatIsNotCommittedIsReadOnlyOnDemand(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	client := plainClient(t, brokers, kgo.TransactionalID(topic))
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: fmt.Append(nil, bool(end))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	for isolation, want := range map[string]int{"read_committed": 1, "read_uncommitted": 2} {
		in := newIntake()
		s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s-%s, isolation: %s}", brokers, topic, topic,
			strings.ReplaceAll(isolation, "_", "-"), isolation))
		run := start(t, s, in)
		in.waitFor(t, want)
		n := 0
		for _, b := range in.take() {
			n += len(b.Records)
			if want == 1 && string(b.Records[0].Body) != "true" {
				t.Errorf("read %s", b.Records[0].Body)
			}
			settle(s, []*flow.Batch{b}, delivered)
		}
		if n != want {
			t.Errorf("%s: %d records", isolation, n)
		}
		run.end(t)
		run.close(t)
	}
}

func TestLagCountsWhatIsNotSettled(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 2)
	rs := numbered(topic, 0, 100)
	for i, r := range rs {
		r.Partition = int32(i % 2)
	}
	produceAll(t, brokers, rs...)
	in := newIntake()
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, topic))
	lagged, ok := s.(flow.Lagged)
	if !ok {
		t.Fatal("the source does not tell its lag")
	}
	run := start(t, s, in)
	in.waitFor(t, 100)
	if lag := lagged.Lag(); lag != 100 {
		t.Errorf("the lag is %d with nothing settled", lag)
	}
	batches := in.take()
	want := 100 - int64(len(batches[0].Records))
	settle(s, batches[:1], delivered)
	if lag := lagged.Lag(); lag != want {
		t.Errorf("the lag is %d with a batch settled, want %d", lag, want)
	}
	settle(s, batches[1:], delivered)
	if lag := lagged.Lag(); lag != 0 {
		t.Errorf("the lag is %d with everything settled", lag)
	}
	run.end(t)
	run.close(t)
}

func TestAStopLeavesTheGroupUnlessToldToStay(t *testing.T) {
	brokers := realBrokers(t)
	for onStop, want := range map[string]int{"leave": 0, "stay": 1} {
		t.Run(onStop, func(t *testing.T) {
			topic := freshTopic(t, brokers, 1)
			text := fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s, on_stop: %s, session_timeout: 30s}", brokers, topic, topic, onStop)
			produceAll(t, brokers, numbered(topic, 0, 1)...)
			in := newIntake()
			s := mustSource(t, connectortest.NewHost(t), text)
			run := start(t, s, in)
			in.waitFor(t, 1)
			settle(s, in.take(), delivered)
			run.end(t)
			run.close(t)
			admin := kadm.NewClient(plainClient(t, brokers))
			groups, err := admin.DescribeGroups(t.Context(), topic)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(groups[topic].Members); n != want {
				t.Errorf("the group has %d members after the stop, want %d", n, want)
			}
			// Under its name it goes on at once, whoever was there before.
			produceAll(t, brokers, numbered(topic, 1, 2)...)
			again := newIntake()
			s = mustSource(t, connectortest.NewHost(t), text)
			run = start(t, s, again)
			again.waitFor(t, 1)
			if got := string(again.take()[0].Records[0].Body); got != "1" {
				t.Errorf("it goes on at %s", got)
			}
			run.stop()
			_ = s.Close(context.Background())
		})
	}
}

func TestTwoProcessesWithOneNameAreToldApart(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	text := fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, topic)
	produceAll(t, brokers, numbered(topic, 0, 10)...)
	in := newIntake()
	first := start(t, mustSource(t, connectortest.NewHost(t), text), in)
	in.waitFor(t, 10)
	second := newIntake()
	s2 := mustSource(t, connectortest.NewHost(t), text)
	other := start(t, s2, second)
	select {
	case err := <-first.ended:
		wantError(t, err, flow.ConfigError, flow.CodeRefused)
	case <-time.After(patience):
		t.Fatal("the first one goes on")
	}
	settle(first.source, in.take(), delivered)
	_ = first.source.Close(context.Background())
	// The first one's end must not have taken the second one out of the group.
	second.waitFor(t, 10)
	settle(s2, second.take(), delivered)
	produceAll(t, brokers, numbered(topic, 10, 20)...)
	second.waitFor(t, 10)
	settle(s2, second.take(), delivered)
	other.end(t)
	other.close(t)
}

func TestRecordsAreOnceThereWhenMembersOfExactlyOnceComeAndGo(t *testing.T) {
	brokers := realBrokers(t)
	for _, balance := range []string{"cooperative", "eager"} {
		t.Run(balance, func(t *testing.T) {
			in, out := freshTopic(t, brokers, 6), freshTopic(t, brokers, 3)
			text := fmt.Sprintf(`
name: once
delivery: exactly_once
connections: { k: { kafka: { brokers: [%q] } } }
from: { kafka: { use: k, topics: [%s], group: %s, balance: %s } }
to: { kafka: { use: k, topic: %s } }
`, brokers, in, in, balance, out)
			stop, produced := make(chan struct{}), make(chan int, 1)
			go produceUntil(t, brokers, in, stop, produced)
			stays, end := startPipeline(t, "stays", text)
			for round := range 3 {
				comes, leave := startPipeline(t, fmt.Sprintf("comes%d", round), text)
				for late := time.Now().Add(patience); comes.Balance().Delivered == 0; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(late) {
						t.Fatal("the member that came was given nothing")
					}
				}
				if err := leave(); err != nil {
					t.Error(err)
				}
			}
			close(stop)
			total := <-produced
			ids := committedIDs(t, brokers, total, out)
			if err := end(); err != nil {
				t.Error(err)
			}
			for n := range total {
				if ids[n] != 1 {
					t.Errorf("%d is there %d times", n, ids[n])
				}
			}
			t.Logf("%d records, %+v", total, stays.Balance())
		})
	}
}

func TestExactlyOnceWithKafka(t *testing.T) {
	brokers := realBrokers(t)
	exactlyOnceWithLetters(t, brokers, freshTopic(t, brokers, 3), freshTopic(t, brokers, 3), freshTopic(t, brokers, 1))
}

func TestAMemberThatCannotGoOnKeepsItsMembership(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	produceAll(t, brokers, numbered(topic, 0, 10_000)...)
	in := newIntake()
	in.gate = make(chan struct{})
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s, session_timeout: 1s}", brokers, topic, topic))
	run := start(t, s, &settlingLater{intake: in, source: s})
	generation := func() (member string) {
		groups, err := kadm.NewClient(plainClient(t, brokers)).DescribeGroups(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range groups[topic].Members {
			return m.MemberID + groups[topic].State
		}
		return ""
	}
	for late := time.Now().Add(patience); !strings.HasSuffix(generation(), "Stable"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the source has not joined")
		}
	}
	before := generation()
	time.Sleep(3 * time.Second) // three times what a silent member is given
	if after := generation(); after != before {
		t.Errorf("the member was %s and is %s", before, after)
	}
	close(in.gate)
	in.waitFor(t, 10_000)
	run.end(t)
	run.close(t)
	if at := committedOffset(t, brokers, topic, topic, 0); at != 10_000 {
		t.Errorf("%d records are committed", at)
	}
}

// settlingLater settles each batch once its gate is open.
type settlingLater struct {
	*intake
	source flow.Source
}

func (s *settlingLater) Push(ctx context.Context, b *flow.Batch) error {
	if err := s.intake.Push(ctx, b); err != nil {
		return err
	}
	settle(s.source, []*flow.Batch{b}, delivered)
	return nil
}

func TestStuckBatchesOfManyPartitionsDoNotKeepThemFromTheirNextOwner(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 6)
	rs := numbered(topic, 0, 6)
	for i, r := range rs {
		r.Partition = int32(i)
	}
	produceAll(t, brokers, rs...)
	text := fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, topic)
	stuck := newIntake()
	first := start(t, mustSource(t, connectortest.NewHost(t), text), stuck)
	stuck.waitFor(t, 6)
	host := connectortest.NewHost(t)
	host.ComponentName = "second"
	taker := newIntake()
	second := start(t, mustSource(t, host, text), taker)
	taker.waitFor(t, 3)
	settle(second.source, taker.take(), delivered)
	settle(first.source, stuck.take(), delivered)
	first.end(t)
	first.close(t)
	second.stop()
	_ = second.source.Close(context.Background())
}

func TestAStuckBatchDoesNotKeepAPartitionFromItsNextOwner(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 2)
	rs := numbered(topic, 0, 40)
	for i, r := range rs {
		r.Partition = int32(i % 2)
	}
	produceAll(t, brokers, rs...)
	text := fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, topic)
	stuck := newIntake()
	first := start(t, mustSource(t, connectortest.NewHost(t), text), stuck)
	stuck.waitFor(t, 40)
	host := connectortest.NewHost(t)
	host.ComponentName = "second"
	taker := newIntake()
	second := start(t, mustSource(t, host, text), taker)
	taker.waitFor(t, 20)
	lane := taker.take()[0].Lane.Name
	for _, b := range stuck.take() {
		select {
		case <-b.Lane.Abandoned():
			if b.Lane.Name != lane {
				t.Errorf("%s is abandoned, and %s has moved", b.Lane.Name, lane)
			}
		default:
			if b.Lane.Name == lane {
				t.Errorf("%s has two owners", lane)
			}
		}
		settle(first.source, []*flow.Batch{b}, delivered)
	}
	// The partition that stayed goes on.
	more := numbered(topic, 40, 42)
	more[0].Partition, more[1].Partition = 0, 1
	produceAll(t, brokers, more...)
	stuck.waitFor(t, 1)
	taker.waitFor(t, 1)
	settle(first.source, stuck.take(), delivered)
	settle(second.source, taker.take(), delivered)
	first.end(t)
	first.close(t)
	second.stop()
	_ = second.source.Close(context.Background())
}
