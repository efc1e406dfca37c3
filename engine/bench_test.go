package engine

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines"
)

// BenchmarkPipeline leads batches of 512 records through trivial nodes to a sink that does nothing, by the router. One operation is one
// record.
func BenchmarkPipeline(b *testing.B) {
	for _, nodes := range []int{0, 1, 5} {
		b.Run(fmt.Sprint(nodes, " nodes"), func(b *testing.B) { benchmarkPipeline(b, nodes) })
	}
}

func benchmarkPipeline(b *testing.B, nodes int) {
	paths := document.NewPaths()
	paths.Freeze()
	src := &benchSource{batches: (b.N + 511) / 512, free: make(chan *flow.Batch, 16)}
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
	if got := p.Balance().Delivered; got != int64(src.batches)*512 {
		b.Fatalf("%d of %d records arrived", got, src.batches*512)
	}
}

// benchSource pushes the same records again and again.
type benchSource struct {
	batches int
	free    chan *flow.Batch
}

func (s *benchSource) Run(ctx context.Context, in flow.Intake) error {
	lane := flow.NewLane("lane")
	for range cap(s.free) {
		b := &flow.Batch{Lane: lane, Records: make([]flow.Record, 512)}
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
