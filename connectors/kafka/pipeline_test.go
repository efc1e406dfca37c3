package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/drop"
	"github.com/millstream/millstream/connectors/file"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

func compileText(text string) (*pipelines.Program, []string) {
	registry := &config.Registry{Nodes: nodes.Types(), Connectors: []config.ConnectorType{Type(), file.Type(), drop.Type()}}
	prog, list := pipelines.Compile("p.yaml", []byte(text), pipelines.Options{Registry: registry})
	findings := []string{}
	for _, f := range list.All() {
		findings = append(findings, fmt.Sprintf("%d: %s: %s", f.Line, f.Code, f.Message))
	}
	return prog, findings
}

func TestExactlyOnceIsRefusedWhereNoTransactionHoldsAll(t *testing.T) {
	const head = `name: x
delivery: exactly_once
connections: { k: { kafka: { brokers: ["a:1", "b:1"] } } }
`
	tests := []struct {
		name, text string
		want       []string
	}{
		{name: "one cluster", text: head + "from: { kafka: { use: k, topics: [in], group: g } }\nto: { kafka: { brokers: ['b:1', 'a:1'], topic: out } }\n"},
		{name: "another sink", text: head + "from: { kafka: { use: k, topics: [in], group: g } }\nto: { file: { path: out } }\n",
			want: []string{"5: conflicting-key: exactly_once is not possible here: file cannot write in a transaction of kafka at a:1, b:1",
				`5: lost-part: file has no place for headers, and the messages of "from" can have some`}},
		{name: "another source", text: "name: x\ndelivery: exactly_once\nfrom: { file: { path: in } }\nto: { kafka: { brokers: ['a:1'], topic: out } }\n",
			want: []string{"3: conflicting-key: exactly_once is not possible here: file cannot acknowledge in a transaction"}},
		{name: "two clusters", text: head + "from: { kafka: { use: k, topics: [in], group: g } }\nto: { kafka: { brokers: ['c:1'], topic: out } }\n",
			want: []string{"5: conflicting-key: exactly_once is not possible here: kafka at c:1 is not the cluster and user of the source, kafka at a:1, b:1, as they are written"}},
		{name: "dead letters in a file", text: head + `from: { kafka: { use: k, topics: [in], group: g } }
to: { kafka: { use: k, topic: out } }
sinks: { dead: { file: { path: dead } } }
on_error: { then: dead }
`, want: []string{"6: conflicting-key: exactly_once is not possible here: file cannot write in a transaction of kafka at a:1, b:1"}},
		{name: "an optional sink", text: head + "from: { kafka: { use: k, topics: [in], group: g } }\nto: { kafka: { use: k, topic: out }, optional: true }\n",
			want: []string{"5: conflicting-key: exactly_once is not possible here: an optional sink is not waited for"}},
		{name: "two compressions", text: head + `from: { kafka: { use: k, topics: [in], group: g } }
to:
  - kafka: { use: k, topic: out }
  - kafka: { use: k, topic: out2, compression: lz4 }
`, want: []string{`7: conflicting-key: exactly_once is not possible here: sink "to" has compression: none, this one compression: lz4, and one transaction has one`}},
		{name: "two sources", text: head + `sources:
  one: { kafka: { use: k, topics: [in], group: g } }
  two: { kafka: { use: k, topics: [in2], group: g2 } }
sinks:
  out: { from: [one, two], kafka: { use: k, topic: out } }
`, want: []string{"6: conflicting-key: exactly_once takes one source, and there is one already"}},
		{name: "what is not committed", text: head + "from: { kafka: { use: k, topics: [in], group: g, isolation: read_uncommitted } }\nto: { kafka: { use: k, topic: out } }\n",
			want: []string{"4: bad-value: exactly_once reads committed records only"}},
		{name: "at most once", text: strings.Replace(head, "exactly", "at_most", 1) + "from: { kafka: { use: k, topics: [in], group: g } }\nto: { kafka: { use: k, topic: out } }\n",
			want: []string{"2: not-available: delivery: at_most_once is not offered: what is acknowledged first is lost in a crash"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, got := compileText(test.text)
			if test.want == nil {
				test.want = []string{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPipelineThatFeedsItselfIsAFinding(t *testing.T) {
	for topics, want := range map[string]bool{"out": true, "in, out": true, "'/o.+/'": true, "'/o/'": false, "in": false} {
		_, got := compileText("name: x\nfrom: { kafka: { brokers: ['b:1', 'a:1'], topics: [" + topics + "], group: g } }\n" +
			"to: { kafka: { brokers: ['a:1', 'b:1'], topic: out } }\n")
		if found := len(got) > 0; found != want {
			t.Errorf("topics %s: %v", topics, got)
		} else if found && !strings.Contains(got[0], "the pipeline would feed itself") {
			t.Errorf("topics %s: %v", topics, got)
		}
	}
}

// startPipeline runs a pipeline file in this process until the test ends or the function is called, which waits for its end.
func startPipeline(t *testing.T, instance, text string) (running *engine.Pipeline, stop func() error) {
	t.Helper()
	prog, findings := compileText(text)
	if prog == nil {
		t.Fatal(findings)
	}
	e := engine.New(engine.Options{Instance: instance, StateDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))})
	running, err := e.Start(t.Context(), prog)
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() error {
		if ended {
			return nil
		}
		ended = true
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return e.Stop(ctx)
	}
	t.Cleanup(func() { _ = stop() })
	return running, stop
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func TestExactlyOnceInOneProcess(t *testing.T) {
	_, brokers := fakeCluster(t, 3, "in", "out", "dead")
	exactlyOnceWithLetters(t, brokers, "in", "out", "dead")
}

// exactlyOnceWithLetters stops and starts a pipeline in whose way a record stands that the broker refuses.
func exactlyOnceWithLetters(t *testing.T, brokers, in, out, dead string) {
	t.Helper()
	text := fmt.Sprintf(`
name: once
delivery: exactly_once
connections: { k: { kafka: { brokers: [%q] } } }
from: { kafka: { use: k, topics: [%s], group: %s } }
to:
  kafka:
    use: k
    topic: %s
    partition: "body == 150 ? 99 : body %% 3"
sinks: { dead: { kafka: { use: k, topic: %s } } }
on_error: { then: dead }
`, brokers, in, in, out, dead)
	rs := numbered(in, 0, 300)
	for i, r := range rs {
		r.Partition, r.Key = int32(i%3), []byte{byte('a' + i%7)}
	}
	for half := range 2 {
		produceAll(t, brokers, rs[half*150:(half+1)*150]...)
		running, stop := startPipeline(t, "one", text)
		for late := time.Now().Add(patience); running.Balance().In < 150; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("%+v", running.Balance())
			}
		}
		if half == 1 {
			fetchCommitted(t, brokers, dead, 1)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	counts := map[string]int{}
	for _, r := range fetchCommitted(t, brokers, out, 299) {
		counts[string(r.Value)]++
	}
	for i := range 300 {
		if want := map[bool]int{true: 0, false: 1}[i == 150]; counts[fmt.Sprint(i)] != want {
			t.Errorf("%d is there %d times, want %d", i, counts[fmt.Sprint(i)], want)
		}
	}
	letters := fetchCommitted(t, brokers, dead, 1)
	if len(letters) != 1 || string(letters[0].Value) != "150" {
		t.Errorf("%d dead letters, the first %s", len(letters), letters[0].Value)
	}
}

// A batch is settled as a whole: what ended before the record that waits counts too.
func TestAPipelineTellsTheLagOfItsSources(t *testing.T) {
	_, brokers := fakeCluster(t, 1, "in", "out")
	produceAll(t, brokers, numbered("in", 0, 1000)...)
	running, stop := startPipeline(t, "one", fmt.Sprintf(`
name: behind
from: { kafka: { brokers: [%q], topics: [in], group: g } }
steps:
  - filter: |
      body < 500 ? true : fail("stay")
to: { kafka: { brokers: [%q], topic: out } }
on_error: { then: pause }
`, brokers, brokers))
	lag := func() int64 {
		for _, l := range running.Lags() {
			if l.Lag != nil {
				return *l.Lag
			}
		}
		return -1
	}
	for late := time.Now().Add(patience); lag() != 1000; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("the lag is %d", lag())
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if lags := running.Lags(); lags != nil {
		t.Errorf("an ended pipeline has the lags %v", lags)
	}
}
