package engine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millstream/millstream/engine/enginetest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines"
)

// TestMain looks for goroutines that were left, unless a rule that was broken on purpose has left some.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !stuckOnPurpose {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// rig is a pipeline by hand: one source in, a chain of nodes, and sinks.
type rig struct {
	t       *testing.T
	engine  *Engine
	program *pipelines.Program
	in      *enginetest.Source
	lane    *flow.Lane
	sinks   []*enginetest.Sink
	p       *Pipeline
}

// newRig makes source → nodes → out, all with the default policy. More sinks stand beside it, fed by nobody yet.
func newRig(t *testing.T, sinks int, nodes ...pipelines.Node) *rig {
	t.Helper()
	r := &rig{t: t, in: enginetest.NewSource(), lane: flow.NewLane("lane")}
	r.engine = New(Options{Logger: slog.New(slog.DiscardHandler), Instance: "test"})
	paths := document.NewPaths()
	paths.Freeze()
	r.program = &pipelines.Program{Name: "p", Hash: "0123456789abcdef", Limits: pipelines.DefaultLimits(), Paths: paths}
	r.program.Sources = []pipelines.Source{{
		Name: "in", Connector: "memory", Open: r.in.Open, Traits: flow.Traits{Keyed: true}, OnError: pipelines.DefaultPolicy(),
		Out: []pipelines.Edge{{Sink: len(nodes) == 0, Index: 0}},
	}}
	for i, n := range nodes {
		if n.Ports == nil {
			n.Ports = [][]pipelines.Edge{{{Sink: i == len(nodes)-1, Index: (i + 1) % len(nodes)}}}
		}
		if n.OnError == (pipelines.Policy{}) {
			n.OnError = pipelines.DefaultPolicy()
		}
		r.program.Nodes = append(r.program.Nodes, n)
	}
	for i := range sinks {
		s := &enginetest.Sink{}
		r.sinks = append(r.sinks, s)
		r.program.Sinks = append(r.program.Sinks, pipelines.Sink{
			Name: "out" + strings.Repeat("'", i), Connector: "memory", Open: s.Open, Preparer: s, OnError: pipelines.DefaultPolicy(), Traits: flow.Traits{Headers: true},
		})
	}
	return r
}

func (r *rig) start() *Pipeline {
	r.t.Helper()
	p, err := r.engine.Start(context.Background(), r.program)
	if err != nil {
		r.t.Fatal(err)
	}
	r.p = p
	return p
}

// feed pushes one batch; "k:body" is a record with key k.
func (r *rig) feed(bodies ...string) {
	records := make([]flow.Record, len(bodies))
	for i, b := range bodies {
		records[i] = flow.Record{Body: []byte(b), Topic: "t", Partition: flow.NoPartition, Offset: int64(i), Attempt: 1}
		if key, _, ok := strings.Cut(b, ":"); ok {
			records[i].Key = []byte(key)
		}
	}
	r.in.Feed(r.lane, records...)
}

// run starts, feeds one batch, ends the source and waits for the end.
func (r *rig) run(bodies ...string) *rig {
	r.t.Helper()
	r.start()
	r.feed(bodies...)
	r.in.End(nil)
	<-r.p.Done()
	r.even()
	return r
}

func (r *rig) stop(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return r.p.Stop(ctx)
}

// even checks the account.
func (r *rig) even() {
	r.t.Helper()
	if b := r.p.Balance(); !b.Even() {
		r.t.Errorf("balance is not even: %+v", b)
	}
}

func (r *rig) got(sink int, want ...string) {
	r.t.Helper()
	if got := strings.Join(r.sinks[sink].Bodies(), " "); got != strings.Join(want, " ") {
		r.t.Errorf("sink %d got %q, want %q", sink, got, strings.Join(want, " "))
	}
}

// settled checks how many records came back settled and left.
func (r *rig) settled(settled, left int) {
	r.t.Helper()
	if s, l := len(r.in.Settled()), len(r.in.Left()); s != settled || l != left {
		r.t.Errorf("%d records came back settled and %d left, want %d and %d", s, l, settled, left)
	}
}

func (r *rig) state(want State) {
	r.t.Helper()
	if got := r.p.State(); got != want {
		r.t.Errorf("pipeline is %s, want %s", got, want)
	}
}

func node(f func(m *flow.Message, e *flow.Emitter) error) pipelines.Node {
	return pipelines.Node{Name: "n", Verb: "test", Processor: flow.ProcessorFunc(f)}
}

func pass(m *flow.Message, e *flow.Emitter) error { e.Emit(0, m); return nil }

// failing fails with err while left is positive, for records whose body has the mark "!".
func failing(left int, err error) pipelines.Node {
	return node(func(m *flow.Message, e *flow.Emitter) error {
		if strings.Contains(string(m.Payload()), "!") && left > 0 {
			left--
			return err
		}
		e.Emit(0, m)
		return nil
	})
}

func then(t pipelines.Then, retries int) pipelines.Policy {
	return pipelines.Policy{Retries: retries, MinBackoff: time.Second, MaxBackoff: time.Minute, Then: t}
}

func transient() error { return flow.Errorf(flow.Transient, flow.CodeUnavailable, "not now") }
func permanent() error { return flow.Errorf(flow.Permanent, flow.CodeRefused, "never") }

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}
