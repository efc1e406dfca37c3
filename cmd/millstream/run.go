package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/admin"
	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/internal/terminal"
	"github.com/millstream/millstream/internal/watch"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// runFlags are the flags of run.
type runFlags struct {
	load         loadFlags
	state        string
	instance     string
	watch        bool
	admin        string
	drainTimeout time.Duration
	startTimeout time.Duration
	logFormat    string
	logLevel     string
	quiet        bool
	// stateGiven: the user has written --state.
	stateGiven bool
}

func runCommand(s *streams) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run PATH…",
		Short: "Run pipelines",
		Long: "run runs pipeline files, and every *.yaml of directories, each pipeline on its own. It ends when all pipelines have ended:\n" +
			"with 0, with 1 when one failed, with 2 when a file has errors. The first SIGINT or SIGTERM drains: nothing more is read, and what is\n" +
			"in flight is delivered. What is left when the drain timeout passes stays at its source, and the exit code is 3. A second signal stops at once, with 130;\n" +
			"signals within 250 ms count as one. A pipeline that ends by a failure drains as long at most. What does not obey is left\n" +
			"behind after 5 s more.\n\n" +
			"With --watch, which is on for directories, a change of a file is taken over while messages flow; SIGHUP and millstream reload do so at\n" +
			"once. A file with errors changes nothing: its pipeline runs on as it was, and the others take over what they have.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("watch") {
				f.watch = slices.ContainsFunc(args, isDirectory)
			}
			f.stateGiven = c.Flags().Changed("state")
			return s.run(args, &f)
		},
	}
	f.load.add(c)
	c.Flags().StringVar(&f.state, "state", ".millstream", "directory for state; made only when something is kept")
	c.Flags().StringVar(&f.instance, "instance", "", "name of this instance, unlike that of others that run the same files (default: the host name)")
	c.Flags().BoolVar(&f.watch, "watch", false, "take over changes of the files while running (default: on when a PATH is a directory)")
	c.Flags().StringVar(&f.admin, "admin", "", "also answer /livez, /readyz, /status and POST /reload on this address, such as 127.0.0.1:8080")
	c.Flags().DurationVar(&f.drainTimeout, "drain-timeout", 10*time.Second, "how long messages in flight may take to end after the first signal, a failure or a reload")
	c.Flags().DurationVar(&f.startTimeout, "start-timeout", 30*time.Second, "how long a pipeline may take to connect")
	c.Flags().StringVar(&f.logFormat, "log-format", "text", "text or json")
	c.Flags().StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "do not print the summary of what went where")
	return c
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (s *streams) run(paths []string, f *runFlags) error {
	hidden := &maskWriter{to: s.err}
	s.err = hidden
	log, err := logger(s.err, f.logFormat, f.logLevel)
	if err != nil {
		return failWith(exitInvalid, err)
	}
	slog.SetDefault(log)
	if f.instance == "" {
		f.instance, _ = os.Hostname()
	}
	v := s.supervisor(paths, f, hidden, log)
	signals, hangups := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(hangups, syscall.SIGHUP)
	defer func() {
		signal.Stop(signals)
		signal.Stop(hangups)
		close(signals)
	}()
	v.signals, v.hangups = distinct(signals), hangups
	endAdmin, err := v.listen(f)
	if err != nil {
		return failWith(exitInvalid, err)
	}
	defer endAdmin()
	if f.watch {
		v.watcher = watch.New(paths, watch.Options{Match: isPipeline, Logger: log})
		defer v.watcher.Close()
	}
	code := v.run()
	if !f.quiet && !v.gaveUp {
		s.summary(v.fleet.Pipelines())
	}
	if code != exitFine {
		return failWith(code, v.invalid)
	}
	return nil
}

// supervisor makes what runs pipelines; it still lacks signals, and a watcher.
func (s *streams) supervisor(paths []string, f *runFlags, hidden *maskWriter, log *slog.Logger) *supervisor {
	e := engine.New(engine.Options{
		Logger: log, Instance: f.instance, StateDir: f.state, Unhandled: unhandledPrinter(s.err),
		DrainTimeout: f.drainTimeout,
	})
	v := &supervisor{
		engine: e, drain: f.drainTimeout, log: log, paths: paths, watching: f.watch, requests: make(chan request), ended: make(chan struct{}),
		fleet: fleet.New(e, fleet.Options{DrainTimeout: f.drainTimeout, StartTimeout: f.startTimeout, Logger: log}),
		about: admin.Status{Version: version, PID: os.Getpid(), Instance: f.instance, Started: time.Now().UTC(), Watching: f.watch},
	}
	for _, p := range paths {
		if abs, err := filepath.Abs(p); err == nil {
			p = abs
		}
		v.about.Paths = append(v.about.Paths, p)
	}
	cached := newCompiled(v.running)
	v.load = func(paths []string) *revision.Set {
		set := s.loadSet(paths, &f.load, false, cached)
		if set.Err == nil && !f.watch {
			set.Err = noFiles(set)
		}
		return set
	}
	o := revision.Options{
		Fleet: v.fleet, Load: func() *revision.Set { return v.load(paths) }, Took: v.took, Hide: hidden.hide, Logger: log,
		Print: func(findings *diag.List) { s.printFindings(findings, f.logFormat, log) },
	}
	if f.watch {
		store, err := revision.OpenStore(f.state)
		if err != nil {
			log.Warn("not every last good revision can be read", "error", err)
		}
		o.Store = store
		o.Compile = func(path string, text []byte) (*pipelines.Program, *diag.List) {
			opts, err := s.options(&f.load, false, newLoading())
			if err != nil {
				return nil, &diag.List{}
			}
			return pipelines.Compile(path, text, opts)
		}
	}
	v.keeper = revision.New(o)
	return v
}

// printFindings prints findings as validate does; between lines of JSON, as such.
func (s *streams) printFindings(findings *diag.List, logFormat string, log *slog.Logger) {
	if logFormat != "json" {
		_ = s.complain(findings) // that there are errors is told by the receipt
		return
	}
	var text bytes.Buffer
	var list []map[string]any
	if err := diag.Write(&text, diag.FormatJSON, findings); err != nil || json.Unmarshal(text.Bytes(), &list) != nil {
		return
	}
	for _, f := range list {
		level := slog.LevelError
		if f["severity"] == diag.Warning.String() {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "finding", "finding", f)
	}
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

// startCode is the exit code of a pipeline that does not start.
func startCode(err error) int {
	var e *flow.Error
	if errors.As(err, &e) && (e.Code == flow.CodeStateLocked || e.Code == flow.CodeStateCorrupt) {
		return exitState
	}
	return exitFailed
}

func worst(started []*engine.Pipeline) int {
	for _, p := range started {
		if p.Err() != nil {
			return exitFailed
		}
	}
	return exitFine
}

// whereLeft says what becomes of records that were not settled.
func whereLeft(p *pipelines.Program) string {
	for i := range p.Sources {
		if p.Sources[i].Traits.Stream {
			return "not settled (what was read of a stream cannot be read again)"
		}
	}
	return "left at the source"
}

// summary prints what went where, one pipeline after another.
func (s *streams) summary(started []*engine.Pipeline) {
	for _, p := range started {
		b := p.Balance()
		_, _ = fmt.Fprintf(s.err, "%s: %d in, %d delivered, %d filtered, %d dropped, %d dead-lettered", p.Name(), b.In, b.Delivered,
			b.Filtered, b.Dropped, b.DeadLettered)
		if left := p.Left(); left > 0 {
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
