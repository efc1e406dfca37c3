package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millstream/millstream/engine/enginetest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

// reloadRig is a pipeline that reads a log and writes to sinks, and is changed while it runs.
type reloadRig struct {
	t      *testing.T
	engine *Engine
	log    *enginetest.Log
	p      *Pipeline

	mu    sync.Mutex
	got   []string // what all sinks got, in order: version body
	sinks map[string]*enginetest.Sink
	fed   int
}

func newReloadRig(t *testing.T) *reloadRig {
	t.Helper()
	return &reloadRig{
		t: t, engine: New(Options{Logger: slog.New(slog.DiscardHandler), Instance: "test"}), log: enginetest.NewLog(2),
		sinks: map[string]*enginetest.Sink{},
	}
}

// sink is the sink that is opened for one configuration; all of them lead to the same place.
func (r *reloadRig) sink(opened string) *enginetest.Sink {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sinks[opened]
	if s == nil {
		s = &enginetest.Sink{Answer: func(o *flow.Outgoing) error {
			version := ""
			for _, h := range o.Headers() {
				if h.Name == "version" {
					version = h.Text()
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got = append(r.got, version+" "+string(o.Body))
			return nil
		}}
		r.sinks[opened] = s
	}
	return s
}

// program stamps a version on what it leads from the source, opened as said, to the sink, opened as said.
func (r *reloadRig) program(version, source, sink string) *pipelines.Program {
	paths := document.NewPaths()
	paths.Freeze()
	s := r.sink(sink)
	return &pipelines.Program{
		Name: "p", Hash: version + source + sink, Limits: pipelines.DefaultLimits(), Paths: paths,
		Sources: []pipelines.Source{{
			Name: "in", Connector: "log", Open: r.log.Open, Opened: source, Traits: flow.Traits{Keyed: true}, OnError: pipelines.DefaultPolicy(),
			Out: []pipelines.Edge{{Index: 0}},
		}},
		Nodes: []pipelines.Node{{
			Name: "stamp", Verb: "test", OnError: pipelines.DefaultPolicy(), Ports: [][]pipelines.Edge{{{Sink: true}}},
			Processor: flow.ProcessorFunc(func(m *flow.Message, e *flow.Emitter) error {
				e.Emit(0, m)
				return m.SetMeta("version", value.String(version))
			}),
		}},
		Sinks: []pipelines.Sink{{
			Name: "out", Connector: "memory", Open: s.Open, Opened: sink, Preparer: s, OnError: pipelines.DefaultPolicy(),
			Traits: flow.Traits{Headers: true},
		}},
	}
}

func (r *reloadRig) start(prog *pipelines.Program) {
	r.t.Helper()
	p, err := r.engine.Start(context.Background(), prog)
	if err != nil {
		r.t.Fatal(err)
	}
	r.p = p
}

// feed appends n records of ten keys to each partition.
func (r *reloadRig) feed(n int) {
	for part := range 2 {
		for i := range n {
			key := fmt.Sprintf("k%d.%d", part, i%10)
			r.log.Append(part, flow.Record{Key: []byte(key), Body: []byte(key + ":" + strconv.Itoa(r.fed+i))})
		}
	}
	r.fed += n
}

func (r *reloadRig) reload(next *pipelines.Program) (Reloaded, error) {
	return r.p.Reload(context.Background(), next, ReloadOptions{DrainTimeout: time.Second, OpenTimeout: 2 * time.Second})
}

func (r *reloadRig) mustReload(next *pipelines.Program) Reloaded {
	r.t.Helper()
	did, err := r.reload(next)
	if err != nil {
		r.t.Fatal(err)
	}
	return did
}

func (r *reloadRig) deliveries() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

// finish lets the log end and checks that everything arrived, in order per key, and how much came twice.
func (r *reloadRig) finish(repeats bool) {
	r.t.Helper()
	r.log.End()
	<-r.p.Done()
	if err := r.p.Err(); err != nil {
		r.t.Errorf("the pipeline failed: %v", err)
	}
	if b := r.p.Balance(); !b.Even() || b.InFlight != 0 {
		r.t.Errorf("the balance is not even: %+v", b)
	}
	if m := r.log.Misuse(); len(m) > 0 {
		r.t.Errorf("the source was misused: %v", m)
	}
	if got := r.log.Committed(); got != 2*r.fed {
		r.t.Errorf("%d of %d records are acknowledged", got, 2*r.fed)
	}
	if n := r.log.OpenNow(); n != 0 {
		r.t.Errorf("%d readers are open at the end", n)
	}
	r.judge(repeats)
}

func (r *reloadRig) judge(repeats bool) {
	r.t.Helper()
	next, seen := map[string]int{}, map[string]bool{}
	for _, d := range r.deliveries() {
		_, body, _ := strings.Cut(d, " ")
		key, number, _ := strings.Cut(body, ":")
		n, _ := strconv.Atoi(number)
		switch {
		case seen[body] && !repeats:
			r.t.Fatalf("%s came again", body)
		case n > next[key] && (next[key] != 0 || n >= 10):
			r.t.Fatalf("%s came when %d was due", body, next[key])
		}
		seen[body] = true
		next[key] = max(next[key], n+10)
	}
	if len(seen) != 2*r.fed {
		r.t.Errorf("%d of %d records arrived", len(seen), 2*r.fed)
	}
}
