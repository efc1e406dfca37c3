package file_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/file"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

// compile makes a program of a file's text.
func compile(t *testing.T, text string) *pipelines.Program {
	t.Helper()
	registry := &config.Registry{Nodes: nodes.Types(), Connectors: []config.ConnectorType{file.Type()}}
	prog, findings := pipelines.Compile("p.yaml", []byte(text), pipelines.Options{Registry: registry})
	if prog == nil {
		t.Fatal(findings.All())
	}
	return prog
}

// copying is a pipeline from a file that is followed to another one.
func copying(name, from, to, options string) string {
	return fmt.Sprintf("name: %s\nfrom: { file: { path: %q, follow: true } }\nsteps: [{ filter: body.id >= 0 }]\n"+
		"to: { file: { path: %q%s } }\non_error: { retry: { backoff: 5ms..20ms } }\n", name, from, to, options)
}

func runs(t *testing.T, e *engine.Engine, text string) *engine.Pipeline {
	t.Helper()
	p, err := e.Start(t.Context(), compile(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// numbered are lines with numbers from one up to, and without, the other.
func numbered(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"id":%d,"pad":"%s"}`+"\n", i, strings.Repeat("x", 80))
	}
	return b.String()
}

// eventually waits for what must come.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}

func size(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return int(info.Size())
}

// scarce is a place that gets full.
type scarce struct {
	dir, state string
	free       func() error
}

// smallDisk is a file system of 2 MiB, one half of which is in use.
func smallDisk(t *testing.T) scarce {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	write(t, dir+"/filler", strings.Repeat("x", 1<<20))
	return scarce{dir: dir, state: dir + "/state", free: func() error { return os.Remove(dir + "/filler") }}
}

// smallFiles bounds the size of this process's files.
func smallFiles(t *testing.T) scarce {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	low := before
	low.Cur = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		t.Fatal(err)
	}
	free := func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) }
	t.Cleanup(func() {
		if err := free(); err != nil {
			t.Error(err)
		}
	})
	return scarce{dir: t.TempDir(), state: t.TempDir(), free: free}
}

func TestAFullDiskStopsOnePipelineUntilThereIsRoom(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("only root can mount a small disk; TestAFileThatMayNotGrowStopsOnePipeline shows the same without it")
		return
	}
	for _, options := range []string{"", ", sync: every", ", sync: none, rotate: { size: 300KiB }"} {
		t.Run("small disk"+options, func(t *testing.T) {
			fullDisk(t, smallDisk, options)
		})
	}
}

const inChild = "MILLSTREAM_TEST_ALONE"

// alone runs a test in a process of its own, where it is true: a limit on files holds for a whole process, and go test writes files, too.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inChild) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inChild+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func TestAFileThatMayNotGrowStopsOnePipeline(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, options := range []string{"", ", sync: every"} {
		t.Run("small files"+options, func(t *testing.T) { fullDisk(t, smallFiles, options) })
	}
}

func fullDisk(t *testing.T, scarcity func(t *testing.T) scarce, options string) {
	dir := t.TempDir()
	const n = 13_000 // 1.25 MB
	in := write(t, dir+"/in.ndjson", numbered(0, n))
	place := scarcity(t)
	e := engine.New(engine.Options{StateDir: place.state, Logger: slog.New(slog.DiscardHandler)})
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}()
	out := place.dir + "/out.ndjson"
	p := runs(t, e, copying("full", in, out, options))
	runs(t, e, copying("neighbour", dir+"/in", dir+"/out", ""))
	eventually(t, "an error of the sink", func() bool { return p.Sinks()[0].Errors > 3 })
	add(t, dir+"/in", numbered(0, 1000))
	eventually(t, "the neighbour's output", func() bool { return size(dir+"/out") == len(numbered(0, 1000)) })
	if b := p.Balance(); b.Delivered >= int64(n) || p.State() != engine.Running {
		t.Fatalf("the disk is not full: %+v, %v", b, p.State())
	}
	if err := place.free(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all of the output", func() bool { return p.Balance().Delivered == int64(n) })
	if got := strings.Join(generations(t, out), ""); got != numbered(0, n) {
		t.Errorf("%d bytes came, want %d: %s", len(got), len(numbered(0, n)), firstDifference(got, numbered(0, n)))
	}
	if b := p.Balance(); !b.Even() {
		t.Errorf("the balance is %+v", b)
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is %.60q, want %.60q", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// TestTwoPipelinesWriteOneFile lets two pipelines share a file, one of which comes and goes.
func TestTwoPipelinesWriteOneFile(t *testing.T) {
	dir := t.TempDir()
	e := engine.New(engine.Options{StateDir: dir + "/state", Logger: slog.New(slog.DiscardHandler)})
	write(t, dir+"/a", numbered(0, 3000))
	write(t, dir+"/b", numbered(3000, 6000))
	runs(t, e, copying("a", dir+"/a", dir+"/out", ""))
	b := runs(t, e, copying("b", dir+"/b", dir+"/sub/../out", ""))
	eventually(t, "b's output", func() bool { return b.Balance().Delivered == 3000 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	add(t, dir+"/a", numbered(6000, 6500))
	eventually(t, "a's output", func() bool { return size(dir+"/out") == len(numbered(0, 6500)) })
	if err := errors.Join(e.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(content(t, dir+"/out")) {
		seen[line]++
	}
	want := map[string]int{}
	for line := range strings.Lines(numbered(0, 6500)) {
		want[line] = 1
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("%.500s", diff)
	}
}
