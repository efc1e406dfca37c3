package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/terminal"
	"github.com/millstream/millstream/pipelines"
)

// runFlags are the flags of run.
type runFlags struct {
	load         loadFlags
	state        string
	instance     string
	drainTimeout time.Duration
	startTimeout time.Duration
	logFormat    string
	logLevel     string
	quiet        bool
}

func runCommand(s *streams) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run PATH…",
		Short: "Run pipelines",
		Long: "run runs pipeline files, and every *.yaml of directories, each pipeline on its own. It ends when all pipelines have ended:\n" +
			"with 0, or with 1 when one failed. The first SIGINT or SIGTERM drains: nothing more is read, what is in flight is delivered. What is\n" +
			"left when the drain timeout passes stays at its source, and the exit code is 3. A second signal stops at once, with 130; signals within\n" +
			"250 ms count as one. A pipeline that ends by a failure drains as long at most. What does not obey is left behind after 5 s more.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return s.run(args, &f) },
	}
	f.load.add(c)
	c.Flags().StringVar(&f.state, "state", ".millstream", "directory for state; made only when something is kept")
	c.Flags().StringVar(&f.instance, "instance", "", "name of this instance, unlike that of others that run the same files (default: the host name)")
	c.Flags().DurationVar(&f.drainTimeout, "drain-timeout", 10*time.Second, "how long messages in flight may take to end after the first signal or a failure")
	c.Flags().DurationVar(&f.startTimeout, "start-timeout", 30*time.Second, "how long a pipeline may take to connect")
	c.Flags().StringVar(&f.logFormat, "log-format", "text", "text or json")
	c.Flags().StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "do not print the summary of what went where")
	return c
}

func (s *streams) run(paths []string, f *runFlags) error {
	hidden := &maskWriter{to: s.err}
	s.err = hidden
	log, err := logger(s.err, f.logFormat, f.logLevel)
	if err != nil {
		return failWith(exitInvalid, err)
	}
	programs, findings, err := s.load(paths, &f.load, false)
	if err != nil {
		return err
	}
	if err := s.complain(findings); err != nil {
		return err
	}
	for _, p := range programs {
		hidden.masks = append(hidden.masks, p.Mask)
	}
	slog.SetDefault(log)
	e := engine.New(engine.Options{
		Logger: log, Instance: f.instance, StateDir: f.state, Unhandled: unhandledPrinter(s.err),
		DrainTimeout: f.drainTimeout,
	})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer func() {
		signal.Stop(signals)
		close(signals)
	}()
	r := &runner{engine: e, signals: distinct(signals), drain: f.drainTimeout, log: log}
	r.startAll(programs, f.startTimeout)
	if r.gaveUp != exitFine {
		return failWith(r.gaveUp, nil)
	}
	code := r.wait()
	if !f.quiet {
		s.summary(r.started)
	}
	if code == exitFine && r.failed != exitFine {
		code = r.failed
	}
	if code != exitFine {
		return failWith(code, nil)
	}
	return nil
}

// sameSignal is within what time signals count as one: a shell, timeout(1) or a supervisor may send one to the process and to its group.
const sameSignal = 250 * time.Millisecond

// distinct passes signals on, but for those that come within sameSignal of the last one it passed on. It ends when signals is closed.
func distinct(signals <-chan os.Signal) <-chan os.Signal {
	out := make(chan os.Signal, 2)
	go func() {
		var last time.Time
		for sig := range signals {
			if time.Since(last) < sameSignal {
				continue
			}
			last = time.Now()
			select {
			case out <- sig:
			default: // two are waiting: more would say nothing new
			}
		}
	}()
	return out
}

// runner takes pipelines from their start to their end, and obeys signals on the way.
type runner struct {
	engine  *engine.Engine
	signals <-chan os.Signal
	drain   time.Duration
	log     *slog.Logger
	started []*engine.Pipeline
	// failed is the exit code of a pipeline that could not start, and not because of a signal; exitFine when all did.
	failed int
	// draining: the first signal has come.
	draining bool
	// gaveUp is the exit code when something was still starting and is not waited for.
	gaveUp int
}

// startAll starts every pipeline; one that fails to start touches no other. A signal ends the starting.
func (r *runner) startAll(programs []*pipelines.Program, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	done := make(chan struct{})
	go func() {
		r.start(ctx, programs)
		close(done)
	}()
	select {
	case <-done:
	case sig := <-r.signals:
		r.drains(sig)
		cancel()
		select {
		case <-done:
		case <-time.After(r.drain):
			r.log.Error("the drain timeout passed while pipelines were starting")
			r.gaveUp = exitDeadline
		case <-r.signals:
			r.gaveUp = exitInterrupted
		}
	}
}

func (r *runner) drains(sig os.Signal) {
	r.draining = true
	r.log.Info("draining; a second signal stops at once", "signal", sig.String(), "timeout", r.drain)
}

// startCode is the exit code of a pipeline that does not start.
func startCode(err error) int {
	var e *flow.Error
	if errors.As(err, &e) && (e.Code == flow.CodeStateLocked || e.Code == flow.CodeStateCorrupt) {
		return exitState
	}
	return exitFailed
}

// startOne starts a pipeline. A broker that is down is tried again until the time for starting is over; what waiting cannot mend fails at
// once.
func (r *runner) startOne(ctx context.Context, prog *pipelines.Program) (*engine.Pipeline, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		p, err := r.engine.Start(ctx, prog)
		var e *flow.Error
		if err == nil || !errors.As(err, &e) || e.Class != flow.Transient || ctx.Err() != nil {
			return p, err
		}
		if pause == firstPause {
			r.log.Warn("pipeline cannot start yet; it is tried again", "pipeline", prog.Name, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// The pauses between attempts to start.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 2 * time.Second
)

func (r *runner) start(ctx context.Context, programs []*pipelines.Program) {
	var (
		wg      sync.WaitGroup
		codes   = make([]int, len(programs))
		started = make([]*engine.Pipeline, len(programs))
	)
	for i, prog := range programs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p, err := r.startOne(ctx, prog)
			if err != nil && errors.Is(ctx.Err(), context.Canceled) {
				r.log.Info("pipeline not started", "pipeline", prog.Name)
				return
			}
			if err != nil {
				r.log.Error("pipeline failed to start", "pipeline", prog.Name, "error", err)
				codes[i] = startCode(err)
				return
			}
			started[i] = p
		}()
	}
	wg.Wait()
	r.started = slices.DeleteFunc(started, func(p *engine.Pipeline) bool { return p == nil })
	r.failed = slices.Max(append(codes, exitFine))
}

// wait waits for all pipelines to end, or for signals, and returns the exit code.
func (r *runner) wait() int {
	ended := make(chan struct{})
	go func() {
		for _, p := range r.started {
			<-p.Done()
		}
		close(ended)
	}()
	if !r.draining {
		select {
		case <-ended:
			return worst(r.started)
		case sig := <-r.signals:
			r.drains(sig)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.drain)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- r.engine.Stop(ctx) }()
	select {
	case err := <-stopped:
		if errors.Is(err, engine.ErrDeadline) {
			r.log.Error("the drain timeout passed; what was in flight stays at its source", "error", err)
			return exitDeadline
		}
		return worst(r.started)
	case <-r.signals:
		r.log.Error("stopped at once by a second signal; what was in flight stays at its source")
		return exitInterrupted
	}
}

func worst(started []*engine.Pipeline) int {
	for _, p := range started {
		if p.Err() != nil {
			return exitFailed
		}
	}
	return exitFine
}

// summary prints what went where, one pipeline after another.
func whereLeft(p *pipelines.Program) string {
	for i := range p.Sources {
		if p.Sources[i].Traits.Stream {
			return "not settled (what was read of a stream cannot be read again)"
		}
	}
	return "left at the source"
}

func (s *streams) summary(started []*engine.Pipeline) {
	for _, p := range started {
		b := p.Balance()
		_, _ = fmt.Fprintf(s.err, "%s: %d in, %d delivered, %d filtered, %d dropped, %d dead-lettered", p.Name(), b.In, b.Delivered,
			b.Filtered, b.Dropped, b.DeadLettered)
		if left := b.InFlight + b.Returned; left > 0 {
			_, _ = fmt.Fprintf(s.err, ", %d %s", left, whereLeft(p.Program()))
		}
		_, _ = fmt.Fprintln(s.err)
		for _, n := range p.Sinks() {
			_, _ = fmt.Fprintf(s.err, "  %-20s %d", n.Name, n.Delivered)
			if n.Dropped > 0 {
				_, _ = fmt.Fprintf(s.err, ", %d dropped because it is optional", n.Dropped)
			}
			_, _ = fmt.Fprintln(s.err)
		}
		if err := p.Err(); err != nil {
			_, _ = fmt.Fprintf(s.err, "  failed: %s\n", terminal.Text(err.Error()))
		}
	}
}

// unhandledExcerpt is how much of an unhandled message is shown.
const unhandledExcerpt = 256

// unhandledPrinter shows messages that no on_error settled.
func unhandledPrinter(w io.Writer) func(engine.Unhandled) {
	var mu sync.Mutex
	return func(u engine.Unhandled) {
		mu.Lock()
		defer mu.Unlock()
		cut := ""
		payload := u.Payload
		if len(payload) > unhandledExcerpt {
			payload, cut = payload[:unhandledExcerpt], "…"
		}
		_, _ = fmt.Fprintf(w, "%s: %s failed at %s: %s [%s/%s]\n  %q%s\n", u.Pipeline, terminal.Text(u.Origin), u.Err.Node,
			terminal.Text(u.Err.Message), u.Err.Class, u.Err.Code, payload, cut)
	}
}

func logger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %s: write debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %s: write text or json", format)
}
