package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Binary builds millstream with failpoints into dir and returns its path.
func Binary(dir string) (string, error) {
	path := filepath.Join(dir, "millstream")
	cmd := exec.Command("go", "build", "-tags", "failpoints", "-o", path, "github.com/millstream/millstream/cmd/millstream")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build millstream: %w\n%s", err, out)
	}
	return path, nil
}

// Process is a running millstream.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
	log    tail
	began  time.Time
}

// Options say how to start a process.
type Options struct {
	Binary string
	// Dir is where it runs, and keeps its state.
	Dir       string
	Pipelines []string
	// Instance is its name; faults when empty.
	Instance string
	// Failpoint is empty or what MILLSTREAM_FAILPOINT takes.
	Failpoint string
}

// Start runs the binary on a pipeline file in dir; failpoint is empty or what MILLSTREAM_FAILPOINT takes.
func Start(binary, dir, pipeline, failpoint string) (*Process, error) {
	return StartWith(Options{Binary: binary, Dir: dir, Pipelines: []string{pipeline}, Failpoint: failpoint})
}

// StartWith runs a process.
func StartWith(o Options) (*Process, error) {
	if o.Instance == "" {
		o.Instance = "faults"
	}
	p := &Process{exited: make(chan struct{}), began: time.Now()}
	p.cmd = exec.Command(o.Binary, append([]string{"run", "--instance", o.Instance, "--start-timeout", "30s"}, o.Pipelines...)...)
	p.cmd.Dir = o.Dir
	p.cmd.Env = append(os.Environ(), "MILLSTREAM_FAILPOINT="+o.Failpoint, "MILLSTREAM_FAILPOINT_REPORT=1")
	p.cmd.Stderr, p.cmd.Stdout = &p.log, io.Discard
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start millstream: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Terminate sends SIGTERM.
func (p *Process) Terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// Freeze stops the process with SIGSTOP, as it stands; Thaw lets it go on.
func (p *Process) Freeze() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw is the end of Freeze.
func (p *Process) Thaw() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// Dump ends the process with SIGQUIT, which makes it print what every goroutine does, and returns that.
func (p *Process) Dump() string {
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	if !p.WaitExit(10 * time.Second) {
		p.Kill()
	}
	return p.Log()
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// WaitExit waits for the end; false when it did not come in time.
func (p *Process) WaitExit(most time.Duration) bool {
	select {
	case <-p.exited:
		return true
	case <-time.After(most):
		return false
	}
}

// Killed tells that the process ended by SIGKILL; Code is its exit code otherwise.
func (p *Process) Killed() bool {
	var e *exec.ExitError
	if !errors.As(p.err, &e) {
		return false
	}
	status, ok := e.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Code is the exit code; -1 after a signal.
func (p *Process) Code() int { return p.cmd.ProcessState.ExitCode() }

// Lines is how many lines the process has written to stderr.
func (p *Process) Lines() int {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.lines
}

// Log is the end of what the process wrote to stderr.
func (p *Process) Log() string { return p.log.String() }

// tail keeps the last 256 KiB of what is written to it.
type tail struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	lines int
}

const tailSize = 256 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	t.lines += bytes.Count(b, []byte{'\n'})
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
