package fleet_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

// many compiles n idle pipelines from generate to memory. Of the one called changed, the filter is another one.
func many(tb testing.TB, n int, changed string) []*pipelines.Program {
	tb.Helper()
	opts := pipelines.Options{Registry: &config.Registry{Connectors: connectors.Types(strings.NewReader(""), io.Discard), Nodes: nodes.Types()}}
	programs := make([]*pipelines.Program, n)
	for i := range programs {
		name := fmt.Sprintf("p%03d", i)
		limit := "1"
		if name == changed {
			limit = "2"
		}
		text := fmt.Sprintf("name: %s\nfrom: { generate: { body: '{\"n\": n}', rate: 1/h } }\nsteps:\n  - filter: body.n > %s\n  - transform: { body.x: \"'y'\" }\n"+
			"to: { memory: { topic: %s } }\n", name, limit, name)
		p, findings := pipelines.Compile(name+".yaml", []byte(text), opts)
		if p == nil {
			tb.Fatalf("%+v", findings.All())
		}
		programs[i] = p
	}
	return programs
}

func newFleet() *fleet.Fleet {
	quiet := slog.New(slog.DiscardHandler)
	return fleet.New(engine.New(engine.Options{Logger: quiet}), fleet.Options{Logger: quiet})
}

// BenchmarkReloadOfOneInMany applies 500 programs of which one has changed. One operation is one reload, without compiling.
func BenchmarkReloadOfOneInMany(b *testing.B) {
	sets := [2][]*pipelines.Program{many(b, 500, ""), many(b, 500, "p250")}
	f := newFleet()
	f.Apply(context.Background(), sets[1])
	b.ResetTimer()
	i := 0
	for b.Loop() {
		receipt := f.Apply(context.Background(), sets[i%2])
		if s := receipt.Step("p250"); !receipt.OK() || s.Action != pipelines.Swap {
			b.Fatalf("%+v", s)
		}
		i++
	}
	b.StopTimer()
	f.Apply(context.Background(), nil)
}

// BenchmarkIdle runs 500 idle pipelines for a while and reports what they take: heap and stacks, goroutines, and part of one core.
func BenchmarkIdle(b *testing.B) {
	before := memory()
	goroutines := runtime.NumGoroutine()
	programs := many(b, 500, "")
	compiled := memory()
	f := newFleet()
	f.Apply(context.Background(), programs)
	time.Sleep(time.Second)
	running := memory()
	cpu, began := used(), time.Now()
	for b.Loop() {
		time.Sleep(100 * time.Millisecond)
	}
	b.ReportMetric(100*float64(used()-cpu)/float64(time.Since(began)), "%core")
	b.ReportMetric(float64(compiled-before)/1e6, "MB-compiled")
	b.ReportMetric(float64(running-before)/1e6, "MB")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/500, "goroutines/pipeline")
	f.Apply(context.Background(), nil)
}

func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
