package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines"
)

// BenchmarkPipeline leads batches of records through trivial nodes to a sink that does nothing, by the router. One operation is one
// record.
func BenchmarkPipeline(b *testing.B) {
	for _, c := range []struct{ nodes, batch int }{{0, 512}, {1, 512}, {5, 512}, {0, 64}, {0, 8}} {
		b.Run(fmt.Sprintf("%d nodes in batches of %d", c.nodes, c.batch), func(b *testing.B) { benchmarkPipeline(b, c.nodes, c.batch) })
	}
}

func benchmarkPipeline(b *testing.B, nodes, batch int) {
	paths := document.NewPaths()
	paths.Freeze()
	src := &benchSource{batches: (b.N + batch - 1) / batch, records: batch, free: make(chan *flow.Batch, 16)}
	prog := &pipelines.Program{Name: "bench", Paths: paths, Limits: pipelines.DefaultLimits()}
	prog.Sources = []pipelines.Source{{
		Name: "in", Connector: "bench", OnError: pipelines.DefaultPolicy(), Out: []pipelines.Edge{{Sink: nodes == 0}},
		Open: func(context.Context, flow.Host) (flow.Source, error) { return src, nil },
	}}
	for i := range nodes {
		prog.Nodes = append(prog.Nodes, pipelines.Node{
			Name: "n", Verb: "pass", Processor: flow.ProcessorFunc(pass), OnError: pipelines.DefaultPolicy(),
			Ports: [][]pipelines.Edge{{{Sink: i == nodes-1, Index: (i + 1) % nodes}}},
		})
	}
	prog.Sinks = []pipelines.Sink{{
		Name: "out", Connector: "bench", OnError: pipelines.DefaultPolicy(), Preparer: benchSink{},
		Open: func(context.Context, flow.Host) (flow.Sink, error) { return benchSink{}, nil },
	}}
	b.ReportAllocs()
	p, err := New(Options{Logger: slog.New(slog.DiscardHandler)}).Start(b.Context(), prog)
	if err != nil {
		b.Fatal(err)
	}
	<-p.Done()
	if got := p.Balance().Delivered; got != int64(src.batches*batch) {
		b.Fatalf("%d of %d records arrived", got, src.batches*batch)
	}
}

// benchSource pushes the same records again and again.
type benchSource struct {
	batches, records int
	free             chan *flow.Batch
}

func (s *benchSource) Run(ctx context.Context, in flow.Intake) error {
	lane := flow.NewLane("lane")
	for range cap(s.free) {
		b := &flow.Batch{Lane: lane, Records: make([]flow.Record, s.records)}
		for i := range b.Records {
			b.Records[i] = flow.Record{Body: make([]byte, 230), Partition: flow.NoPartition}
		}
		s.free <- b
	}
	for range s.batches {
		if err := in.Push(ctx, <-s.free); err != nil {
			return err
		}
	}
	return nil
}

func (s *benchSource) Settle(b *flow.Batch)        { s.free <- b }
func (s *benchSource) Close(context.Context) error { return nil }

type benchSink struct{}

func (benchSink) Prepare(*flow.Message, *flow.Outgoing) error             { return nil }
func (benchSink) Send(_ context.Context, _ []*flow.Outgoing, done func()) { done() }
func (benchSink) Close(context.Context) error                             { return nil }

// BenchmarkReload changes what a pipeline runs while it leads messages. One operation is one reload; the metrics are how long the source
// could not hand over.
func BenchmarkReload(b *testing.B) {
	for name, sinks := range map[string]int{"swap": 1, "replace": 2} {
		b.Run(name, func(b *testing.B) {
			src := &benchSource{batches: 1 << 40, records: 64, free: make(chan *flow.Batch, 16)}
			programs := make([]*pipelines.Program, 2)
			for i := range programs {
				paths := document.NewPaths()
				paths.Freeze()
				programs[i] = &pipelines.Program{Name: "bench", Paths: paths, Limits: pipelines.DefaultLimits()}
				programs[i].Sources = []pipelines.Source{{
					Name: "in", Connector: "bench", OnError: pipelines.DefaultPolicy(), Out: []pipelines.Edge{{Sink: true}},
					Open: func(context.Context, flow.Host) (flow.Source, error) { return src, nil },
				}}
				programs[i].Sinks = []pipelines.Sink{{
					Name: "out", Connector: "bench", Opened: fmt.Sprint(i % sinks), OnError: pipelines.DefaultPolicy(), Preparer: benchSink{},
					Open: func(context.Context, flow.Host) (flow.Sink, error) { return benchSink{}, nil },
				}}
			}
			p, err := New(Options{Logger: slog.New(slog.DiscardHandler)}).Start(b.Context(), programs[0])
			if err != nil {
				b.Fatal(err)
			}
			var pauses []time.Duration
			for b.Loop() {
				did, err := p.Reload(context.Background(), programs[(len(pauses)+1)%2], ReloadOptions{})
				if err != nil {
					b.Fatal(err)
				}
				pauses = append(pauses, did.Pause)
			}
			slices.Sort(pauses)
			b.ReportMetric(float64(pauses[len(pauses)/2])/1e6, "ms-pause-p50")
			b.ReportMetric(float64(pauses[len(pauses)*99/100])/1e6, "ms-pause-p99")
			_ = p.Stop(context.Background())
		})
	}
}
