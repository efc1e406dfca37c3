// Command bench compares millstream with hand-written loops for the same tasks, and prints what it found as Markdown tables.
//
// Both programs of a case run in turn, at least -pairs times; medians count, and the ratio of one run on one machine says more than any
// absolute figure. CPU and memory are each process's own, as the kernel accounts for them. Output that differs from the loop's is an
// error. No test depends on what this command finds.
//
// The cases with brokers run when MILLSTREAM_KAFKA and MILLSTREAM_RABBITMQ are set. docs/performance.md says what the cases are.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	pairs       int
	cases       string
	dir, binary string
	quiet       bool
}

func main() {
	var o options
	s := &suite{}
	flag.IntVar(&o.pairs, "pairs", 5, "how often both programs of a case run, at least")
	flag.StringVar(&o.cases, "cases", "", "cases to run, with commas between them (default: all)")
	flag.StringVar(&o.dir, "dir", "", "folder for programs and inputs, kept afterwards (default: a temporary one)")
	flag.StringVar(&o.binary, "binary", "", "millstream to measure (default: build it)")
	flag.BoolVar(&o.quiet, "quiet", false, "do not report single pairs")
	flag.IntVar(&s.events, "events", 500_000, "events of 233 bytes")
	flag.IntVar(&s.nested, "nested", 300_000, "events of 920 bytes")
	flag.IntVar(&s.generated, "generated", 1_000_000, "messages that case b makes")
	flag.IntVar(&s.growth, "growth", 1_000_000, "messages that the growing case ends with")
	flag.IntVar(&s.kafkaRecords, "kafka", 500_000, "records in the Kafka topic")
	flag.IntVar(&s.rabbitMessages, "rabbitmq", 40_000, "messages in the RabbitMQ queue")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, s, &o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func bench(ctx context.Context, s *suite, o *options, out, progress io.Writer) error {
	dir := o.dir
	if dir == "" {
		temporary, err := os.MkdirTemp("", "millstream-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary) //nolint:errcheck // a temporary folder
		dir = temporary
	}
	var err error
	if s.workshop, err = newWorkshop(ctx, dir, o.binary); err != nil {
		return err
	}
	if err := s.writePipelines(); err != nil {
		return err
	}
	if err := s.writeInputs(); err != nil {
		return err
	}
	say := func(text string) {
		if !o.quiet {
			fmt.Fprintln(progress, text)
		}
	}
	return s.report(ctx, o, out, say)
}

// report runs the chosen cases and prints the tables. A case that fails does not keep the others from running.
func (s *suite) report(ctx context.Context, o *options, out io.Writer, say func(string)) error {
	comparisons, figures := newComparisons(), newFigures()
	chosen := func(name string) bool {
		return o.cases == "" || slices.Contains(strings.Split(o.cases, ","), name)
	}
	var failed []string
	for _, c := range slices.Concat(s.local(), s.http(ctx), s.kafka(), s.rabbitMQ()) {
		if !chosen(c.name) {
			continue
		}
		result, err := s.compare(ctx, c, o.pairs, say)
		if err != nil {
			failed = append(failed, err.Error())
			fmt.Fprintln(os.Stderr, "bench:", err)
			continue
		}
		addOutcome(comparisons, c, result)
		if most, ok := peaks[c.name]; ok {
			addFigure(figures, "peak memory under "+c.name, result.product.peak, "MB", most)
		}
	}
	if chosen("start") {
		if err := s.start(ctx, figures); err != nil {
			failed = append(failed, err.Error())
		}
	}
	fmt.Fprintf(out, "%s, %s/%s, %d cores\n\n%v\n%v", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), comparisons, figures)
	if len(failed) > 0 {
		return fmt.Errorf("%d cases failed:\n%s", len(failed), strings.Join(failed, "\n"))
	}
	return nil
}

// peaks are the cases whose memory is reported, and how many MB it may be; 0 is no bound.
var peaks = map[string]float64{"a": 30, "b": 30, "c": 30, "longer c": 30, "growth": 30, "kafka": 0, "rabbitmq": 0}

// starts is how often the start is timed, and startMost how many ms it may take with all connectors linked.
const (
	starts    = 15
	startMost = 50
)

// start times the way from exec to the first message of a pipeline that does next to nothing.
func (s *suite) start(ctx context.Context, figures *table) error {
	took := make([]float64, starts)
	for i := range took {
		d, err := firstByte(ctx, s.millstream("start").args...)
		if err != nil {
			return err
		}
		took[i] = d.Seconds() * 1e3
	}
	slices.Sort(took)
	addFigure(figures, "start to first message, all connectors linked", median(took), "ms", startMost)
	return nil
}
