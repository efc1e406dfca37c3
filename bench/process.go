package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// workshop is where the programs, the pipelines and the inputs are.
type workshop struct{ dir string }

func (w workshop) path(name string) string { return filepath.Join(w.dir, name) }

// newWorkshop builds the product as it is released, unless binary names one, and the loops.
func newWorkshop(ctx context.Context, dir, binary string) (workshop, error) {
	w := workshop{dir}
	if err := goBuild(ctx, w.dir+"/", "./bench/loops/...", "./bench/measure"); err != nil {
		return w, err
	}
	if binary != "" {
		absolute, err := filepath.Abs(binary)
		if err != nil {
			return w, fmt.Errorf("find %s: %w", binary, err)
		}
		return w, errors.Join(ignoreMissing(os.Remove(w.path("millstream"))), os.Symlink(absolute, w.path("millstream")))
	}
	return w, goBuild(ctx, w.path("millstream"), "-trimpath", "-ldflags", "-s -w", "./cmd/millstream")
}

func goBuild(ctx context.Context, to string, args ...string) error {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	build := exec.CommandContext(ctx, "go", append([]string{"build", "-o", to}, args...)...) //nolint:gosec // our own arguments
	build.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// program is one run of a program: the product or what it is compared with.
type program struct {
	args []string
	env  []string
	// stdin and stdout are files; empty is the null device.
	stdin, stdout string
	// piped puts a process that copies before the input and behind the output.
	piped bool
	// before gets things ready, untimed. arrived waits until everything has come out of a program that does not end by itself, and
	// tells how many messages a second; the program is then asked to end. after tidies up.
	before  func(ctx context.Context) error
	arrived func(ctx context.Context) (rate float64, err error)
	after   func(ctx context.Context) error
}

// sample is what one run took.
type sample struct {
	CPU  time.Duration
	Wall time.Duration
	Peak int64
	// rate is messages a second where that is not the messages by Wall.
	rate   float64
	stderr string
}

// run runs a program to its end.
func (w workshop) run(ctx context.Context, p program) (s sample, err error) {
	if p.before != nil {
		if err := p.before(ctx); err != nil {
			return s, err
		}
	}
	if p.after != nil {
		defer func() { err = errors.Join(err, p.after(context.WithoutCancel(ctx))) }()
	}
	costs, report, err := os.Pipe()
	if err != nil {
		return s, err
	}
	defer costs.Close()                                           //nolint:errcheck // read only
	cmd := exec.CommandContext(ctx, w.path("measure"), p.args...) //nolint:gosec // our own arguments
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Env = append(os.Environ(), p.env...)
	cmd.ExtraFiles = []*os.File{report}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	done, err := connect(ctx, cmd, p)
	if err != nil {
		return s, errors.Join(err, report.Close())
	}
	err = cmd.Start()
	_ = report.Close()
	if err != nil {
		return s, errors.Join(err, done())
	}
	running, ended := context.WithCancel(ctx)
	var text []byte
	var readErr error
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		defer ended()
		text, readErr = io.ReadAll(costs)
	}()
	if p.arrived != nil {
		s.rate, err = awaitArrival(running, cmd, p)
	}
	<-reading
	err = errors.Join(err, cmd.Wait(), done(), readErr)
	if s.stderr = stderr.String(); err != nil {
		return s, fmt.Errorf("%s: %w\n%s", strings.Join(p.args, " "), err, s.stderr)
	}
	return s, json.Unmarshal(text, &s)
}

// awaitArrival asks the program to end once all has arrived, or when waiting for it has failed.
func awaitArrival(ctx context.Context, cmd *exec.Cmd, p program) (float64, error) {
	rate, err := p.arrived(ctx)
	return rate, errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
}

// connect gives the command its streams. What it returns closes them after the command's end.
func connect(ctx context.Context, cmd *exec.Cmd, p program) (done func() error, err error) {
	in, err := os.Open(orNull(p.stdin))
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(orNull(p.stdout), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	cmd.Stdin, cmd.Stdout = in, out
	files := func() error { return errors.Join(in.Close(), out.Close()) }
	if !p.piped {
		return files, nil
	}
	before, after := exec.CommandContext(ctx, "cat"), exec.CommandContext(ctx, "cat")
	before.Stdin, after.Stdout = in, out
	fromBefore, toCommand, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, files())
	}
	fromCommand, toAfter, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, files(), fromBefore.Close(), toCommand.Close())
	}
	before.Stdout, cmd.Stdin, cmd.Stdout, after.Stdin = toCommand, fromBefore, toAfter, fromCommand
	err = errors.Join(before.Start(), after.Start(), toCommand.Close(), fromCommand.Close())
	return func() error {
		closed := errors.Join(fromBefore.Close(), toAfter.Close())
		return errors.Join(before.Wait(), after.Wait(), closed, files())
	}, err
}

func orNull(path string) string {
	if path == "" {
		return os.DevNull
	}
	return path
}

// firstByte tells how long a program takes from its start to the first byte of its output, and lets it end.
func firstByte(ctx context.Context, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // our own arguments
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_, err = io.ReadFull(out, make([]byte, 1))
	took := time.Since(began)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("%s: no output: %w", strings.Join(args, " "), err), cmd.Wait())
	}
	_, _ = io.Copy(io.Discard, out)
	return took, cmd.Wait()
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
