package fleet_test

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

// lines takes what a pipeline prints.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Len()
}

// numbers are the lines, which must be numbers.
func (l *lines) numbers(t *testing.T) (all []int) {
	t.Helper()
	for _, line := range strings.Fields(l.all.String()) {
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// grows waits until more lines have come.
func (l *lines) grows(t *testing.T, what string) {
	t.Helper()
	had := l.len()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if l.len() > had {
			return
		}
	}
	t.Fatalf("nothing comes any more after: %s", what)
}

func TestNothingIsLostBetweenPipelinesThatAreReloaded(t *testing.T) {
	out := &lines{}
	opts := pipelines.Options{Registry: &config.Registry{Connectors: connectors.Types(strings.NewReader(""), out), Nodes: nodes.Types()}}
	compile := func(text string, args ...any) *pipelines.Program {
		p, findings := pipelines.Compile("p.yaml", fmt.Appendf(nil, text, args...), opts)
		if p == nil {
			t.Fatalf("%+v", findings.All())
		}
		return p
	}
	writer := func(revision, allow int) *pipelines.Program {
		return compile("name: w\nfrom: { generate: { body: '{\"n\": n}', rate: 20000/s } }\nsteps:\n  - transform: { body.v: %d }\n"+
			"to: { memory: { topic: mid, allow: [mid, m%d] } }\n", revision, allow)
	}
	reader := func(revision, limit int) *pipelines.Program {
		return compile("name: r\nfrom: { memory: { topic: mid } }\nsteps:\n  - transform: { body: \"%d > 0 ? body.n : 0\" }\nto: { stdout: {} }\n"+
			"limits: { in_flight: %d }\n", revision, 1000+limit)
	}
	f := newFleet()
	apply := func(wanted ...*pipelines.Program) {
		t.Helper()
		if receipt := f.Apply(context.Background(), wanted); !receipt.OK() {
			t.Fatalf("%+v", receipt.Steps)
		}
	}
	w, r := writer(1, 1), reader(1, 1)
	apply(w, r)
	for i := range 200 {
		what := [...]string{"the reader is replaced", "the reader is taken away and added", "the writer is swapped", "the writer is replaced", "both are replaced"}[i%5]
		switch i % 5 {
		case 0:
			r = reader(i+1, i)
		case 1:
			apply(w)
		case 2:
			w = writer(i, i-2)
		case 3:
			w = writer(i, i)
		case 4:
			w, r = writer(i, i), reader(i+1, i)
		}
		apply(w, r)
		out.grows(t, what)
	}
	running := f.Pipelines()
	apply()
	inOrder(t, out.numbers(t), int(running[1].Balance().Delivered))
}

// inOrder fails unless the numbers from 0 on have all come, and each for the last time after all that are before it.
func inOrder(t *testing.T, got []int, n int) {
	t.Helper()
	last := make([]int, n)
	for i, v := range got {
		if v < n {
			last[v] = i + 1
		}
	}
	for v := range last {
		if last[v] == 0 || v > 0 && last[v] < last[v-1] {
			t.Fatalf("of %d numbers in %d lines, %d is missing or too early", n, len(got), v)
		}
	}
	t.Logf("%d messages in %d lines", n, len(got))
}
