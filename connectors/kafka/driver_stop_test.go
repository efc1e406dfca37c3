//go:build integration

package kafka

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// onceEach fails when not each of so many values was there once.
func onceEach(t *testing.T, counts map[string]int, total int) {
	t.Helper()
	wrong := 0
	for n := range total {
		if got := counts[fmt.Sprint(n)]; got != 1 {
			if wrong++; wrong < 10 {
				t.Errorf("%d is there %d times", n, got)
			}
		}
	}
}

func TestAStopOfTheStockDriverRepeatsNothing(t *testing.T) {
	brokers := realBrokers(t)
	in, path := freshTopic(t, brokers, 4), filepath.Join(t.TempDir(), "out")
	const total, rounds = 4000, 12
	produceAll(t, brokers, inTurn(in, total, 4)...)
	text := fmt.Sprintf(`
name: stopped
from: { kafka: { brokers: [%q], driver: watermill, topics: [%s], group: %[2]s } }
to: { file: { path: %q, sync: none } }
`, brokers, in, path)
	for round := range rounds {
		running, stop := startPipeline(t, "one", text)
		reaches(t, running, total/rounds/3)
		if round == rounds-1 {
			for late := time.Now().Add(patience); len(countLines(t, path)) < total && time.Now().Before(late); {
				time.Sleep(50 * time.Millisecond)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	onceEach(t, countLines(t, path), total)
}

// The group would give the partitions of a member that is gone to nobody for the session timeout, which is longer than this test waits.
func TestTheStockDriverLosesNothingWhenItsProcessIsKilled(t *testing.T) {
	brokers := realBrokers(t)
	first, second, out := freshTopic(t, brokers, 2), freshTopic(t, brokers, 2), freshTopic(t, brokers, 2)
	run := processOf(t, fmt.Sprintf(`
name: killed
from: { kafka: { brokers: [%q], driver: watermill, topics: [%s, %s], group: %[2]s, session_timeout: 2m } }
to: { kafka: { brokers: [%[1]q], driver: watermill, topic: %[4]s } }
`, brokers, first, second, out))
	const rounds, each = 4, 200
	for round := range rounds {
		p := run()
		for i, topic := range []string{first, second} {
			rs := inTurn(topic, each, 2)
			for n, r := range rs {
				r.Value = fmt.Append(nil, (2*round+i)*each+n)
			}
			produceAll(t, brokers, rs...)
		}
		began := time.Now()
		counts := countValues(t, brokers, out, (2*round+1)*each)
		t.Logf("%d values after %s", len(counts), time.Since(began))
		if round == rounds-1 {
			countValues(t, brokers, out, rounds*2*each)
			if err := p.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			if err := p.Wait(); err != nil {
				t.Errorf("the process ended with %v", err)
			}
			continue
		}
		if err := p.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = p.Wait()
	}
}

func TestAReloadOfTheStockDriverRepeatsNothing(t *testing.T) {
	brokers := realBrokers(t)
	in, out := freshTopic(t, brokers, 3), freshTopic(t, brokers, 3)
	const total, reloads = 2000, 4
	produceAll(t, brokers, inTurn(in, total, 3)...)
	text := func(revision int) string {
		return fmt.Sprintf(`name: reloaded
from: { kafka: { brokers: [%q], driver: watermill, topics: [%s], group: %[2]s, session_timeout: %ds } }
to: { kafka: { brokers: [%[1]q], driver: watermill, topic: %[4]s } }
`, brokers, in, 60+revision, out)
	}
	p := processOf(t, text(0))()
	for revision := 1; revision <= reloads; revision++ {
		countValues(t, brokers, out, revision*total/(reloads+2))
		if err := os.WriteFile(p.Args[2], []byte(text(revision)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	countValues(t, brokers, out, total)
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	onceEach(t, countValues(t, brokers, out, total), total)
	log, err := os.ReadFile(filepath.Join(filepath.Dir(p.Args[2]), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "replace") {
		t.Errorf("no reload took place:\n%s", log)
	}
}

func TestTheStockDriverEndsWhenAnotherProcessTakesItsName(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	produceAll(t, brokers, numbered(topic, 0, 1)...)
	text := fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s, driver: watermill}", brokers, topic, topic)
	in, second := newIntake(), newIntake()
	first := start(t, mustSource(t, connectortest.NewHost(t), text), in)
	in.waitFor(t, 1)
	settle(first.source, in.take(), delivered)
	other := start(t, mustSource(t, connectortest.NewHost(t), text), second)
	select {
	case err := <-first.ended:
		wantError(t, err, flow.ConfigError, flow.CodeRefused)
	case <-time.After(patience):
		t.Fatal("the first one goes on")
	}
	_ = first.source.Close(context.Background())
	// The first one's end must not have taken the second one out of the group.
	produceAll(t, brokers, numbered(topic, 1, 2)...)
	second.waitFor(t, 1)
	settle(other.source, second.take(), delivered)
	other.end(t)
	other.close(t)
}

func TestTheStockDriverLosesNothingWhenMembersComeAndGo(t *testing.T) {
	brokers := realBrokers(t)
	in, out := freshTopic(t, brokers, 4), freshTopic(t, brokers, 2)
	text := fmt.Sprintf(`
name: members
from: { kafka: { brokers: [%q], driver: watermill, topics: [%s], group: %[2]s } }
to: { kafka: { brokers: [%[1]q], driver: watermill, topic: %[3]s } }
`, brokers, in, out)
	const each, rounds = 1000, 3
	_, end := startPipeline(t, "stays", text)
	for round := range rounds {
		rs := inTurn(in, each, 4)
		for n, r := range rs {
			r.Value = fmt.Append(nil, round*each+n)
		}
		produceAll(t, brokers, rs...)
		comes, leave := startPipeline(t, "comes", text)
		// What is there may be read before the other one has come.
		for late := time.Now().Add(patience); comes.Balance().Delivered == 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatal("the member that came was given nothing")
			}
			produceAll(t, brokers, inTurn(in, 4, 4)...)
		}
		if err := leave(); err != nil {
			t.Error(err)
		}
	}
	countValues(t, brokers, out, rounds*each)
	for n := range int32(4) {
		want := fetchEnd(t, brokers, in, n)
		for late := time.Now().Add(patience); committedOffset(t, brokers, in, in, n) < want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("%d of %d records of partition %d are committed", committedOffset(t, brokers, in, in, n), want, n)
			}
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// fetchEnd is how many records a partition has.
func fetchEnd(t *testing.T, brokers, topic string, partition int32) int64 {
	t.Helper()
	ends, err := kadm.NewClient(plainClient(t, brokers)).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, partition)
	return end.Offset
}
