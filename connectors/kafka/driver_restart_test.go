//go:build integration

package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/engine"
)

// countLines tells how often each line is in a file.
func countLines(t *testing.T, path string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(text)) {
		counts[strings.TrimSpace(line)]++
	}
	return counts
}

// noneOvertaken looks whether the lines of each key came in their order, as far as they were new.
func noneOvertaken(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newest := map[int]int{}
	for line := range strings.Lines(string(text)) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		before, known := newest[n%keys]
		if !known {
			before = n%keys - keys
		}
		if n > before+keys {
			t.Errorf("%d has come before %d", n, before+keys)
		}
		newest[n%keys] = max(n, before)
	}
}

// countValues reads a topic from its beginning until so many different values were there, and tells how often each was.
func countValues(t *testing.T, brokers, topic string, total int) map[string]int {
	t.Helper()
	client := plainClient(t, brokers, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	counts := map[string]int{}
	for late := time.Now().Add(patience); len(counts) < total; {
		if time.Now().After(late) {
			t.Fatalf("%d of %d are there", len(counts), total)
		}
		client.PollRecords(t.Context(), 1000).EachRecord(func(r *kgo.Record) { counts[string(r.Value)]++ })
	}
	return counts
}

// reaches waits until a pipeline has delivered so many.
func reaches(t *testing.T, running *engine.Pipeline, delivered int64) {
	t.Helper()
	for late := time.Now().Add(patience); running.Balance().Delivered < delivered; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%d are not delivered: %+v", delivered, running.Balance())
		}
	}
}

// keys is how many different keys inTurn gives.
const keys = 30

// inTurn makes records for the partitions of a topic in turn.
func inTurn(topic string, total, partitions int) []*kgo.Record {
	rs := make([]*kgo.Record, total)
	for n := range rs {
		rs[n] = &kgo.Record{Topic: topic, Partition: int32(n % partitions), Key: fmt.Append(nil, n%keys), Value: fmt.Append(nil, n)}
	}
	return rs
}

// One pipeline has only its source at the broker, whose member of the group then sees the outage at once; the other has both sides there.
func TestTheStockDriverLosesNothingWhenTheBrokerIsKilled(t *testing.T) {
	address, brokers := ownBroker(t, "kafka-stock", 4400)
	in, out, path := freshTopic(t, address, 3), freshTopic(t, address, 3), filepath.Join(t.TempDir(), "out")
	const total = 1500
	produceAll(t, address, inTurn(in, total, 3)...)
	const text = `
name: %s
from: { kafka: { brokers: [%q], driver: watermill, topics: [%s], group: %[3]s.%[1]s } }
steps:
  - throttle: { rate: 100/s }
to: { %[4]s }
`
	reader, stopReader := startPipeline(t, "one", fmt.Sprintf(text, "reader", address, in, fmt.Sprintf("file: { path: %q }", path)))
	both, stopBoth := startPipeline(t, "one", fmt.Sprintf(text, "both", address, in,
		fmt.Sprintf("kafka: { brokers: [%q], driver: watermill, topic: %s }", address, out)))
	for round := range int64(2) {
		for _, p := range []*engine.Pipeline{reader, both} {
			reaches(t, p, total/4*(round+1))
		}
		brokers("kill")
		time.Sleep(3 * time.Second)
		brokers("start")
		back, had, hadToo := time.Now(), reader.Balance().Delivered, both.Balance().Delivered
		// One that was done before the kill has nothing to go on with.
		reaches(t, reader, min(had+1, total))
		t.Logf("the reader went on %s after the broker was ready, from %d", time.Since(back), had)
		reaches(t, both, min(hadToo+1, total))
		t.Logf("the other went on %s after the broker was ready, from %d", time.Since(back), hadToo)
	}
	reaches(t, reader, total)
	counts := map[string]map[string]int{"both": countValues(t, address, out, total)}
	for _, stop := range []func() error{stopReader, stopBoth} {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	counts["reader"] = countLines(t, path)
	noneOvertaken(t, path)
	for name, counts := range counts {
		if len(counts) != total {
			t.Errorf("%s: %d of %d have arrived", name, len(counts), total)
		}
		twice := 0
		for _, n := range counts {
			twice += n - 1
		}
		t.Logf("%s: %d are there more than once", name, twice)
		for n := range int32(3) {
			if got := committedOffset(t, address, in+"."+name, in, n); got != total/3 {
				t.Errorf("%s: %d records of partition %d are committed, want %d", name, got, n, total/3)
			}
		}
	}
}
