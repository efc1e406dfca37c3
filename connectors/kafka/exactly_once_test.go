//go:build integration

package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// killsWanted is how often the test of kills kills; MILLSTREAM_KILLS sets it.
func killsWanted(t *testing.T) int {
	t.Helper()
	text := os.Getenv("MILLSTREAM_KILLS")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEachRecordIsThereOnceAfterKills(t *testing.T) {
	brokers := realBrokers(t)
	kills := killsWanted(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	in, even, odd := freshTopic(t, brokers, 3), freshTopic(t, brokers, 3), freshTopic(t, brokers, 2)
	run := processOf(t, fmt.Sprintf(`
name: once
delivery: exactly_once
connections:
  k: { kafka: { brokers: [%q] } }
sources:
  in: { kafka: { use: k, topics: [%s], group: %s } }
nodes:
  kept: { from: in, filter: body.n %% 10 != 9 }
  kind: { from: kept, route: { even: body.n %% 2 == 0, odd: else } }
sinks:
  even: { from: kind.even, kafka: { use: k, topic: %s } }
  odd: { from: kind.odd, kafka: { use: k, topic: %s } }
`, brokers, in, in, even, odd))

	produced := make(chan int, 1)
	stop := make(chan struct{})
	go produceUntil(t, brokers, in, stop, produced)
	arrivals := watchArrivals(t, brokers, even)
	var waits []time.Duration
	for range kills {
		began := time.Now()
		p := run()
		time.Sleep(time.Duration(300+random.IntN(1500)) * time.Millisecond)
		if at, ok := arrivals(began); ok {
			waits = append(waits, at.Sub(began))
		}
		if err := p.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = p.Wait()
	}
	close(stop)
	total := <-produced
	last := run()
	want := 0
	for n := range total {
		if n%10 != 9 {
			want++
		}
	}
	ids := committedIDs(t, brokers, want, even, odd)
	if err := last.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := last.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	wrong := 0
	for n := range total {
		times := 1
		if n%10 == 9 {
			times = 0
		}
		if ids[n] != times {
			if wrong++; wrong < 10 {
				t.Errorf("%d is there %d times", n, ids[n])
			}
		}
	}
	slices.Sort(waits)
	t.Logf("%d kills, %d records, %d wrong; first committed output after a start: %v", kills, total, wrong, waits)
}

// watchArrivals follows committed records, and tells when the first one arrived after a moment.
func watchArrivals(t *testing.T, brokers, topic string) func(after time.Time) (at time.Time, ok bool) {
	t.Helper()
	client := plainClient(t, brokers, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	var mu sync.Mutex
	var all []time.Time
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if client.PollFetches(ctx).NumRecords() > 0 {
				mu.Lock()
				all = append(all, time.Now())
				mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func(after time.Time) (time.Time, bool) {
		mu.Lock()
		defer mu.Unlock()
		for _, at := range all {
			if at.After(after) {
				return at, true
			}
		}
		return time.Time{}, false
	}
}

// produceUntil writes numbered records, some thousand a second, and tells at the end how many.
func produceUntil(t *testing.T, brokers, topic string, stop <-chan struct{}, produced chan<- int) {
	n := 0
	defer func() { produced <- n }()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		var rs []*kgo.Record
		for range 100 {
			key := []byte(strconv.Itoa(n % 37))
			rs = append(rs, &kgo.Record{Topic: topic, Key: key, Value: fmt.Appendf(nil, `{"n":%d}`, n)})
			n++
		}
		if err := client.ProduceSync(context.Background(), rs...).FirstErr(); err != nil {
			t.Error(err)
			return
		}
	}
}

// committedIDs reads committed records until there are so many and nothing comes any more, and checks the order of each key.
func committedIDs(t *testing.T, brokers string, want int, topics ...string) map[int]int {
	t.Helper()
	client := plainClient(t, brokers, kgo.ConsumeTopics(topics...), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ids, last, read := map[int]int{}, map[string]int{}, 0
	late := time.Now().Add(2 * patience)
	for {
		quiet := time.Second
		if read < want {
			quiet = time.Until(late)
		}
		ctx, cancel := context.WithTimeout(t.Context(), quiet)
		fetches := client.PollFetches(ctx)
		cancel()
		if fetches.NumRecords() == 0 {
			if read < want {
				t.Errorf("%d of %d records are there", read, want)
			}
			return ids
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var n int
			if _, err := fmt.Sscanf(string(r.Value), `{"n":%d}`, &n); err != nil {
				t.Fatalf("%s: %v", r.Value, err)
			}
			ids[n]++
			read++
			key := r.Topic + "/" + string(r.Key)
			if before, ok := last[key]; ok && before >= n {
				t.Errorf("%d comes behind %d with key %s", n, before, key)
			}
			last[key] = n
		})
	}
}

// processOf builds the program and gives a function that runs a pipeline with it, always under one instance name.
func processOf(t *testing.T, pipeline string) (run func() *exec.Cmd) {
	t.Helper()
	dir := t.TempDir()
	binary, file := filepath.Join(dir, "millstream"), filepath.Join(dir, "p.yaml")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/millstream").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte(strings.TrimSpace(pipeline)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() *exec.Cmd {
		t.Helper()
		log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close() // the process has its own descriptor
		cmd := exec.Command(binary, "run", file, "--instance", "one", "--state", filepath.Join(dir, "state"))
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if cmd.ProcessState == nil {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
			if t.Failed() {
				text, _ := os.ReadFile(filepath.Join(dir, "log"))
				t.Logf("%s", text[max(0, len(text)-4000):])
			}
		})
		return cmd
	}
}
