//go:build integration

package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millstream/millstream/connectors/connectortest"
)

// makeAnew deletes a topic and makes it again.
func makeAnew(t *testing.T, brokers, topic string, partitions int32) {
	t.Helper()
	admin := kadm.NewClient(plainClient(t, brokers))
	if _, err := admin.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic)
		if err == nil {
			return
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
}

func TestATopicThatIsMadeAgainIsReadFromItsBeginning(t *testing.T) {
	brokers := realBrokers(t)
	for _, test := range []struct {
		name, topics, start string
		once                bool
		again               int // how many records the new topic has; the old one has 50
	}{
		{name: "a shorter one", topics: "%s", start: "earliest", again: 20},
		{name: "a longer one", topics: "%s", start: "latest", again: 80},
		{name: "of a pattern", topics: "/%s.*/", start: "earliest", again: 20},
		{name: "exactly once", topics: "%s", start: "earliest", once: true, again: 80},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			topic := freshTopic(t, brokers, 1)
			log := &logged{}
			host := connectortest.NewHost(t)
			host.Log = log.logger()
			cfg := &Source{Group: topic, Start: test.start, Balance: "cooperative", Isolation: "read_committed", SessionTimeout: 45 * time.Second, OnStop: "leave"}
			topics, _ := selectionOf(t, "["+fmt.Sprintf(test.topics, topic)+"]")
			open, cl := cfg.open, cluster{brokers: []string{brokers}}
			if test.once {
				open = cfg.openTransactor
			}
			s, err := open(cl, topics)(t.Context(), host)
			if err != nil {
				t.Fatal(err)
			}
			in := &settling{source: s, name: "m", seen: &seen{counts: map[string]int{}, by: map[string]int{}}}
			run := start(t, s, in)
			for late := time.Now().Add(patience); in.seen.of("m") == 0 && time.Now().Before(late); time.Sleep(100 * time.Millisecond) {
				produceAll(t, brokers, numbered(topic, 0, 1)...) // until it reads, also from the end
			}
			produceAll(t, brokers, numbered(topic, 1, 50)...)
			in.seen.wait(t, 50)
			makeAnew(t, brokers, topic, 1)
			produceAll(t, brokers, numbered(topic, 100, 100+test.again)...)
			in.seen.wait(t, 50+test.again)
			waitForCommit(t, brokers, topic, topic, int64(test.again))
			run.end(t)
			run.close(t)
			for n := 100; n < 100+test.again; n++ {
				if got := in.seen.counts[fmt.Sprint(n)]; got != 1 {
					t.Errorf("%d came %d times", n, got)
				}
			}
			if n := log.count("level=ERROR"); n != 1 {
				t.Errorf("%d errors are logged:\n%s", n, log.text())
			}
		})
	}
}

func TestPartitionsThatAreAddedAreReadFromTheirBeginning(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: [%s], group: %[2]s, start: latest}", brokers, topic))
	in := &settling{source: s, name: "m", seen: &seen{counts: map[string]int{}, by: map[string]int{}}}
	run := start(t, s, in)
	for late := time.Now().Add(patience); in.seen.of("m") == 0 && time.Now().Before(late); time.Sleep(100 * time.Millisecond) {
		produceAll(t, brokers, numbered(topic, 0, 1)...)
	}
	if _, err := kadm.NewClient(plainClient(t, brokers)).CreatePartitions(t.Context(), 2, topic); err != nil {
		t.Fatal(err)
	}
	added := numbered(topic, 1, 11)
	for _, r := range added {
		r.Partition = 1
	}
	time.Sleep(time.Second) // a leader is chosen
	produceAll(t, brokers, added...)
	in.seen.wait(t, 11)
	run.end(t)
	run.close(t)
}
