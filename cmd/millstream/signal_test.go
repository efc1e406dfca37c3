package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// waiting bounds how long a test waits for what must come.
const waiting = 30 * time.Second

// started is a running millstream.
type started struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	stderr *output
	ended  chan error
}

// output is a buffer that may be read while the process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func launch(t *testing.T, stdout io.Writer, pipeline string, args ...string) *started {
	t.Helper()
	s := &started{t: t, dir: t.TempDir(), stderr: &output{}, ended: make(chan error, 1)}
	if err := os.WriteFile(filepath.Join(s.dir, "p.yaml"), []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command("millstream", append([]string{"run", "p.yaml"}, args...)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, stdout, s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

func (s *started) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *started) exitCode() int {
	s.t.Helper()
	select {
	case err := <-s.ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return 0
	case <-time.After(waiting):
		s.t.Fatalf("millstream did not end\n%s", s.stderr)
	}
	return -1
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(waiting); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("it never came to pass that %s", what)
}

const endless = `
name: endless
from: { generate: { body: "{n: n}", rate: 2000/s } }
to: { file: { path: out.ndjson } }
`

func TestTheFirstSignalDrains(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			s := launch(t, io.Discard, endless)
			out := filepath.Join(s.dir, "out.ndjson")
			eventually(t, "something is written", func() bool {
				info, err := os.Stat(out)
				return err == nil && info.Size() > 1000
			})
			s.signal(sig)
			if code := s.exitCode(); code != exitFine {
				t.Fatalf("exit code %d\n%s", code, s.stderr)
			}
			text, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			for i, line := range lines {
				var m struct{ N int }
				if err := json.Unmarshal([]byte(line), &m); err != nil || m.N != i {
					t.Fatalf("line %d is %q: %v", i, line, err)
				}
			}
			if strings.Contains(s.stderr.String(), "left at the source") {
				t.Errorf("the drain left something:\n%s", s.stderr)
			}
		})
	}
}

// blocked is a pipeline whose sink never gets rid of what it has: stdout is a pipe that nobody reads.
func blocked(t *testing.T, args ...string) *started {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	s := launch(t, w, `
name: blocked
from: { generate: { body: "{n: n, text: repeat('x', 1000)}" } }
to: [{ file: { path: out.ndjson } }, { stdout: {} }]
`, args...)
	eventually(t, "more is written than a pipe holds", func() bool {
		info, err := os.Stat(filepath.Join(s.dir, "out.ndjson"))
		return err == nil && info.Size() > 1<<16
	})
	return s
}

func TestASecondSignalStopsAtOnce(t *testing.T) {
	s := blocked(t, "--drain-timeout", "10m")
	s.signal(syscall.SIGINT)
	eventually(t, "it drains", func() bool { return strings.Contains(s.stderr.String(), "msg=\"draining") })
	time.Sleep(2 * sameSignal)
	s.signal(syscall.SIGINT)
	if code := s.exitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d\n%s", code, exitInterrupted, s.stderr)
	}
}

func TestADrainThatTakesTooLongSaysSo(t *testing.T) {
	s := blocked(t, "--drain-timeout", "50ms")
	s.signal(syscall.SIGTERM)
	if code := s.exitCode(); code != exitDeadline {
		t.Errorf("exit code %d, want %d\n%s", code, exitDeadline, s.stderr)
	}
	if !strings.Contains(s.stderr.String(), "left at the source") {
		t.Errorf("nothing is said about what was left:\n%s", s.stderr)
	}
}

// hanging is a program whose sink takes for ever to open, whatever it is told.
func hanging(t *testing.T) *pipelines.Program {
	t.Helper()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	s := &streams{in: &bytes.Buffer{}, out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	p, findings := pipelines.Compile("p.yaml", []byte("name: hangs\nfrom: { stdin: {} }\nto: { stdout: {} }\n"), pipelines.Options{Registry: s.registry()})
	if p == nil {
		t.Fatal(findings.All())
	}
	p.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) {
		<-hold
		return nil, io.ErrUnexpectedEOF
	}
	return p
}

func TestAStartThatHangsEndsWithTheSecondSignalOrTheDrainTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		signals int
		drain   time.Duration
		want    int
	}{
		"two signals": {2, time.Hour, exitInterrupted}, "one signal": {1, time.Millisecond, exitDeadline},
	} {
		t.Run(name, func(t *testing.T) {
			signals := make(chan os.Signal, 2)
			for range c.signals {
				signals <- syscall.SIGTERM
			}
			log := slog.New(slog.NewTextHandler(io.Discard, nil))
			s := &streams{in: &bytes.Buffer{}, out: io.Discard, err: io.Discard}
			v := s.supervisor(nil, &runFlags{startTimeout: time.Hour, drainTimeout: c.drain}, &maskWriter{to: io.Discard}, log)
			v.signals = signals
			set := &revision.Set{Files: []revision.File{{Path: "p.yaml", Program: hanging(t), Findings: &diag.List{}}}}
			v.keeper = revision.New(revision.Options{Fleet: v.fleet, Logger: log, Load: func() *revision.Set { return set }})
			if code := v.run(); code != c.want || !v.gaveUp {
				t.Errorf("exit code %d, want %d; gave up: %t", code, c.want, v.gaveUp)
			}
		})
	}
}

func TestSignalsTogetherCountAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal)
		got := distinct(signals)
		for _, wait := range []time.Duration{0, 200 * time.Millisecond, 100 * time.Millisecond, 10 * time.Second} {
			time.Sleep(wait)
			signals <- syscall.SIGTERM
		}
		close(signals)
		synctest.Wait()
		if len(got) != 2 {
			t.Errorf("%d of the four signals count, want the first and the third", len(got))
		}
	})
}

func TestWhatAMessageSaysCannotForgeOutput(t *testing.T) {
	var out bytes.Buffer
	unhandledPrinter(&out)(engine.Unhandled{Pipeline: "p", Origin: "file:a\n@1",
		Err: flow.Errorf(flow.Permanent, flow.CodeFailed, "x\x1b[2J\np: 9 in, 9 delivered"), Payload: []byte("\x1b[2J")})
	if n := strings.Count(out.String(), "\n"); n != 2 || strings.ContainsRune(out.String(), 0x1b) {
		t.Errorf("%d lines: %q", n, out.String())
	}
}
