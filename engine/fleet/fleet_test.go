package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/engine/enginetest"
	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a fleet whose pipelines read logs and write to sinks, by the pipelines' names.
type rig struct {
	t     *testing.T
	fleet *fleet.Fleet
	logs  map[string]*enginetest.Log
	sinks map[string]*enginetest.Sink
}

func newRig(t *testing.T) *rig {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	r := &rig{t: t, logs: map[string]*enginetest.Log{}, sinks: map[string]*enginetest.Sink{}}
	r.fleet = fleet.New(engine.New(engine.Options{Logger: quiet}), fleet.Options{Logger: quiet, StartTimeout: time.Second, DrainTimeout: time.Second})
	return r
}

// end stops all pipelines.
func (r *rig) end() {
	r.t.Helper()
	r.apply()
	if ps := r.fleet.Pipelines(); len(ps) > 0 {
		r.t.Errorf("%d pipelines are left", len(ps))
	}
}

// program is a pipeline that stamps a version on what it leads from its log to its sink.
func (r *rig) program(name, version string, change ...func(p *pipelines.Program)) *pipelines.Program {
	log, sink := r.logs[name], r.sinks[name]
	if log == nil {
		log, sink = enginetest.NewLog(1), &enginetest.Sink{}
		r.logs[name], r.sinks[name] = log, sink
	}
	paths := document.NewPaths()
	paths.Freeze()
	p := &pipelines.Program{
		Name: name, Hash: name + version, Limits: pipelines.DefaultLimits(), Paths: paths,
		Sources: []pipelines.Source{{
			Name: "in", Connector: "log", Open: log.Open, Traits: flow.Traits{Keyed: true}, OnError: pipelines.DefaultPolicy(),
			Out: []pipelines.Edge{{Index: 0}},
		}},
		Nodes: []pipelines.Node{{
			Name: "stamp", Verb: "test", Hash: version, OnError: pipelines.DefaultPolicy(), Ports: [][]pipelines.Edge{{{Sink: true}}},
			Processor: flow.ProcessorFunc(func(m *flow.Message, e *flow.Emitter) error {
				e.Emit(0, m)
				return m.SetMeta("version", value.String(version))
			}),
		}},
		Sinks: []pipelines.Sink{{
			Name: "out", Connector: "memory", Open: sink.Open, Preparer: sink, OnError: pipelines.DefaultPolicy(), Traits: flow.Traits{Headers: true},
		}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func (r *rig) apply(wanted ...*pipelines.Program) fleet.Receipt {
	return r.fleet.Apply(context.Background(), wanted)
}

// outcomes is a receipt in short: "a start done, b keep kept".
func outcomes(r fleet.Receipt) string {
	var out []string
	for _, s := range r.Steps {
		out = append(out, fmt.Sprintf("%s %s %s", s.Pipeline, s.Action, s.Outcome))
	}
	return strings.Join(out, ", ")
}

func (r *rig) want(receipt fleet.Receipt, want string) {
	r.t.Helper()
	if got := outcomes(receipt); got != want {
		r.t.Errorf("the receipt says %q, want %q: %+v", got, want, receipt.Steps)
	}
}

var errNo = errors.New("no")

func broken(p *pipelines.Program) {
	p.Sinks[0].Opened = "broken"
	p.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeUnavailable, "no")
	}
	p.Hash += "broken"
}

func opened(how string) func(p *pipelines.Program) {
	return func(p *pipelines.Program) { p.Sinks[0].Opened = how; p.Hash += how }
}

func TestAReceiptTellsWhatHappenedToEachPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.want(r.apply(r.program("gone", "1"), r.program("kept", "1"), r.program("new sink", "1"), r.program("swapped", "1")),
			"gone start done, kept start done, new sink start done, swapped start done")
		got := r.apply(r.program("broken", "1", broken), r.program("kept", "1"), r.program("new sink", "1", opened("b")),
			r.program("new", "1"), r.program("swapped", "2"))
		r.want(got, "broken start failed, gone stop done, kept keep kept, new start done, new sink replace done, swapped swap done")
		want := []fleet.Step{
			{Pipeline: "broken", Action: pipelines.Start, Outcome: fleet.Failed, Error: `start "broken": open sink "out": no`},
			{Pipeline: "gone", Action: pipelines.Stop, Outcome: fleet.Done},
			{Pipeline: "kept", Action: pipelines.Keep, Outcome: fleet.Kept, Revision: "kept1"},
			{Pipeline: "new", Action: pipelines.Start, Outcome: fleet.Done, Revision: "new1"},
			{Pipeline: "new sink", Action: pipelines.Replace, Outcome: fleet.Done, Revision: "new sink1b", Reasons: []string{"sink out changed"},
				KeptSources: []string{"in"}},
			{Pipeline: "swapped", Action: pipelines.Swap, Outcome: fleet.Done, Revision: "swapped2", Reasons: []string{"node stamp changed"},
				KeptSources: []string{"in"}, KeptSinks: []string{"out"}},
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var read fleet.Receipt
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, read.Steps, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".err" }, cmp.Ignore())); d != "" {
			t.Errorf("steps (-want +got):\n%s", d)
		}
		if got.OK() || got.Step("kept") == nil || got.Step("other") != nil || got.Step("broken").Err() == nil {
			t.Error("the receipt does not answer as it should")
		}
		if n := r.logs["kept"].Opened(); n != 1 {
			t.Errorf("the source that was kept was opened %d times", n)
		}
		r.end()
	})
}

func TestWhatCannotChangeRunsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.apply(r.program("a", "1"), r.program("b", "1"))
		got := r.apply(r.program("a", "2", broken), r.program("b", "2"))
		r.want(got, "a replace failed, b swap done")
		if s := got.Step("a"); s.Revision != "a1" || s.Error == "" {
			t.Errorf("the step is %+v", s)
		}
		r.logs["a"].Append(0, flow.Record{Body: []byte("x")})
		synctest.Wait()
		if d := r.sinks["a"].Delivered(); len(d) != 1 || d[0].Headers[0].Text() != "1" {
			t.Errorf("the old revision delivered %v", d)
		}
		r.want(r.apply(r.program("a", "2"), r.program("b", "2")), "a swap done, b keep kept")
		r.end()
	})
}

func TestAReloadStartsAgainWhatHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		fails := func(p *pipelines.Program) {
			p.Sources[0].OnError.Then, p.Nodes[0].OnError = pipelines.ThenStop, pipelines.Policy{Then: pipelines.ThenStop}
			stamp := p.Nodes[0].Processor
			p.Nodes[0].Processor = flow.ProcessorFunc(func(m *flow.Message, e *flow.Emitter) error {
				if string(m.Payload()) == "bad" {
					return errNo
				}
				return stamp.Process(m, e)
			})
		}
		r.apply(r.program("a", "1", fails))
		r.logs["a"].Append(0, flow.Record{Body: []byte("bad")})
		<-r.fleet.Pipelines()[0].Done()
		got := r.apply(r.program("a", "1", fails))
		r.want(got, "a start done")
		if d := cmp.Diff([]string{"it had failed"}, got.Steps[0].Reasons); d != "" {
			t.Error(d)
		}
		<-r.fleet.Pipelines()[0].Done()
		r.want(r.apply(r.program("a", "2")), "a start done")
		synctest.Wait()
		if d := r.sinks["a"].Bodies(); len(d) != 1 {
			t.Errorf("%v was delivered", d)
		}
		r.end()
	})
}

func TestAReloadFreesAPausedPipelineThatDidNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		refuse := true
		r.program("a", "1")
		r.sinks["a"].Answer = func(*flow.Outgoing) error {
			if refuse {
				return flow.Errorf(flow.Permanent, flow.CodeRefused, "no")
			}
			return nil
		}
		r.apply(r.program("a", "1"))
		r.logs["a"].Append(0, flow.Record{Body: []byte("x")})
		synctest.Wait()
		if s := r.fleet.Pipelines()[0].State(); s != engine.Paused {
			t.Fatalf("it is %s", s)
		}
		refuse = false
		r.want(r.apply(r.program("a", "1")), "a keep kept")
		synctest.Wait()
		if d := r.sinks["a"].Bodies(); len(d) != 1 || r.fleet.Pipelines()[0].State() != engine.Running {
			t.Errorf("%v was delivered", d)
		}
		r.end()
	})
}

func TestWhatHasEndedWellStartsAgainOnlyWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		p := r.program("a", "1")
		r.logs["a"].End()
		r.apply(p)
		<-r.fleet.Pipelines()[0].Done()
		r.want(r.apply(p), "a keep kept")
		if n := r.logs["a"].Opened(); n != 1 {
			t.Errorf("it was opened %d times", n)
		}
		r.want(r.apply(r.program("a", "2")), "a start done")
		if n := r.logs["a"].Opened(); n != 2 {
			t.Errorf("it was opened %d times", n)
		}
		r.end()
	})
}

func TestWhatOnlyOneCanHaveIsHandedOver(t *testing.T) {
	holder := ""
	port := func(name string) func(p *pipelines.Program) {
		return func(p *pipelines.Program) {
			p.Sources[0].Traits.Exclusive, p.Sources[0].Traits.Single, p.Sources[0].Opened = "port "+name, true, name
			open := p.Sources[0].Open
			p.Sources[0].Open = func(ctx context.Context, h flow.Host) (flow.Source, error) {
				if holder != "" {
					return nil, flow.Errorf(flow.ConfigError, flow.CodeUnavailable, "%s has it", holder)
				}
				s, err := open(ctx, h)
				holder = p.Name
				return &releasing{Source: s, release: func() { holder = "" }}, err
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.want(r.apply(r.program("b", "1", port("1"))), "b start done")
		r.want(r.apply(r.program("a", "1", port("1"))), "a start done, b stop done")
		r.want(r.apply(r.program("c", "1", port("1")), r.program("a", "2")), "a replace done, c start done")
		r.end()
	})
}

type releasing struct {
	flow.Source
	release func()
}

// Close implements flow.Source.
func (s *releasing) Close(ctx context.Context) error {
	s.release()
	return s.Source.Close(ctx)
}

func TestAStalledSinkStopsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.program("stuck", "1")
		r.sinks["stuck"].Gate = make(chan struct{})
		r.apply(r.program("stuck", "1"), r.program("well", "1"))
		r.logs["stuck"].Append(0, flow.Record{Body: []byte("x")})
		synctest.Wait()
		got := r.apply(r.program("well", "2"))
		r.want(got, "stuck stop done, well swap done")
		if well, stuck := got.Step("well"), got.Step("stuck"); well.Duration != 0 || stuck.Duration != time.Second || stuck.Error == "" || stuck.Drained != 0 {
			t.Errorf("the steps are %+v", got.Steps)
		}
		r.end()
	})
}

func TestAPipelineThatWaitsForItsBrokerIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		p := r.program("a", "1")
		r.logs["a"].Refuse = func(n int) error {
			if n < 3 {
				return flow.Errorf(flow.Transient, flow.CodeUnavailable, "not yet")
			}
			return nil
		}
		r.want(r.apply(p), "a start done")
		if n := r.logs["a"].Opened(); n != 3 {
			t.Errorf("it was opened %d times", n)
		}
		r.end()
	})
}

func TestOneOfManyChangesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const n = 500
		programs := make([]*pipelines.Program, n)
		for i := range programs {
			programs[i] = r.program(fmt.Sprintf("p%03d", i), "1")
		}
		r.apply(programs...)
		before := r.fleet.Pipelines()
		programs[250] = r.program("p250", "2", opened("b"))
		kept := 0
		receipt := r.apply(programs...)
		for _, s := range receipt.Steps {
			if s.Outcome == fleet.Kept {
				kept++
			}
		}
		if kept != n-1 || !receipt.OK() {
			t.Errorf("%d pipelines were kept", kept)
		}
		for i, p := range r.fleet.Pipelines() {
			if log, sink := r.logs[p.Name()], r.sinks[p.Name()]; p != before[i] || log.Opened() != 1 || sink.Closed() > 0 && p.Name() != "p250" {
				t.Errorf("%s was touched", p.Name())
			}
		}
		r.end()
	})
}
