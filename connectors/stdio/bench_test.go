package stdio_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/stdio"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

const benchLine = 233

// counter settles at once and counts.
type counter struct {
	source  flow.Source
	records int
	batches int
}

func (c *counter) Push(_ context.Context, b *flow.Batch) error {
	c.records += len(b.Records)
	c.batches++
	c.source.Settle(b)
	return nil
}

func benchSource(b *testing.B, r io.Reader) {
	cfg := stdio.Types(r, io.Discard)[0].NewSource()
	s, err := cfg.BuildSource(&config.Builder{}).Open(b.Context(), connectortest.NewHost(b))
	if err != nil {
		b.Fatal(err)
	}
	in := &counter{source: s}
	b.SetBytes(benchLine)
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.Run(b.Context(), in); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(in.records)/float64(in.batches), "records/batch")
	if in.records != b.N {
		b.Fatalf("%d records, want %d", in.records, b.N)
	}
}

// repeated gives one line n times.
type repeated struct {
	line []byte
	left int // bytes
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && n < r.left {
		k := copy(p[n:min(len(p), r.left)], r.line[r.at:])
		r.at = (r.at + k) % len(r.line)
		n += k
	}
	r.left -= n
	return n, nil
}

func line() []byte { return []byte(strings.Repeat("x", benchLine-1) + "\n") }

func BenchmarkStdin(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchSource(b, &repeated{line: line(), left: b.N * benchLine}) })
	b.Run("pipe", func(b *testing.B) {
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			_, _ = io.CopyBuffer(struct{ io.Writer }{w}, &repeated{line: line(), left: b.N * benchLine}, make([]byte, 64<<10))
			_ = w.Close()
		}()
		benchSource(b, r)
		_ = r.Close()
	})
}

func benchSink(b *testing.B, w io.Writer) {
	cfg := stdio.Types(nil, w)[1].NewSink()
	built := cfg.BuildSink(&config.Builder{})
	s, err := built.Open(b.Context(), connectortest.NewHost(b))
	if err != nil {
		b.Fatal(err)
	}
	bodies := make([]string, flow.MaxBatchRecords)
	for i := range bodies {
		bodies[i] = string(bytes.TrimSpace(line()))
	}
	outs, err := connectortest.Outgoings(built.Preparer, bodies...)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchLine)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += len(outs) {
		for _, o := range outs {
			if err := built.Preparer.Prepare(nil, o); err != nil {
				b.Fatal(err)
			}
		}
		s.Send(b.Context(), outs, func() {})
	}
}

func BenchmarkStdout(b *testing.B) {
	b.Run("null device", func(b *testing.B) {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = null.Close() }()
		benchSink(b, null)
	})
	b.Run("pipe", func(b *testing.B) {
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		go func() { _, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 64<<10)) }()
		benchSink(b, w)
		_ = w.Close()
	})
}
