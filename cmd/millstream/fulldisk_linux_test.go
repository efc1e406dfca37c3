package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// tinyDisk is a file system of 2 MiB, one half of which a file named filler takes.
func tinyDisk(t *testing.T) string {
	t.Helper()
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
	return dir
}

// count is a line of 100 bytes with a number.
func count(n int) string {
	return fmt.Sprintf(`{"n":%07d,"pad":"%s"}`+"\n", n+1_000_000, strings.Repeat("x", 76))
}

func counts(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(count(n))
	}
	return b.String()
}

// numbersOf reads a file that counts wrote; a line that is torn fails the test.
func numbersOf(t *testing.T, path string) (all []int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, `{"n":%d,`, &n); err != nil || line != count(n-1_000_000) {
			t.Fatalf("line %d is %.80q", len(all)+1, line)
		}
		all = append(all, n-1_000_000)
	}
	return all
}

// ends is how many line ends a file has that is being written.
func ends(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

func more(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// TestADiskThatIsFullHoldsUpItsPipelineAlone fills the disk that a pipeline writes to, kills the process meanwhile, and makes room again.
func TestADiskThatIsFullHoldsUpItsPipelineAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("only root can mount a small disk; the tests of connectors/file show the same with small files")
		return
	}
	t.Run("out on the small disk", func(t *testing.T) {
		disk := tinyDisk(t)
		fullDisk(t, t.TempDir(), disk, true)
	})
	t.Run("out and state on the small disk", func(t *testing.T) {
		disk := tinyDisk(t)
		fullDisk(t, disk, disk, false)
	})
}

// fullDisk runs in home, where the state is, and writes to disk.
func fullDisk(t *testing.T, home, disk string, kill bool) {
	const n, inFlight = 14_000, 256 // 1.4 MB
	dir := t.TempDir()
	text := "name: %s\nfrom: { file: { path: %q, follow: true } }\nsteps: [{ filter: body.n >= 0 }]\nto: { file: { path: %q } }\n" +
		"limits: { in_flight: %d }\non_error: { retry: { backoff: 5ms..50ms } }\n"
	out := disk + "/out.ndjson"
	write(t, dir+"/pipelines/full.yaml", fmt.Sprintf(text, "full", dir+"/in", out, inFlight))
	write(t, dir+"/pipelines/neighbour.yaml", fmt.Sprintf(text, "neighbour", dir+"/neighbour.in", dir+"/neighbour.out", inFlight))
	write(t, dir+"/in", counts(0, n))
	write(t, dir+"/neighbour.in", counts(0, 1000))
	begin := func(told int) *started {
		s := launchIn(t, home, "run", dir+"/pipelines")
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%.4000s", s.stderr)
			}
		})
		eventually(t, "the disk is full", func() bool { return failures(s) > 3 })
		more(t, dir+"/neighbour.in", counts(told, told+1000))
		eventually(t, "the neighbour writes on", func() bool { return ends(t, dir+"/neighbour.out") >= told+1000 })
		if whole := ends(t, out); whole == 0 || whole >= n {
			t.Fatalf("%d lines are on the full disk", whole)
		}
		return s
	}
	s, repeats := begin(1000), 0
	if kill {
		s.signal(syscall.SIGKILL)
		s.exitCode()
		s, repeats = begin(2000), inFlight
	}
	if err := os.Remove(disk + "/filler"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all has come", func() bool {
		text, err := os.ReadFile(out)
		return err == nil && strings.HasSuffix(string(text), count(n-1))
	})
	if code := s.stopped(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	all := numbersOf(t, out)
	if len(all) > n+repeats {
		t.Errorf("%d lines came, want %d and %d repeats at most", len(all), n, repeats)
	}
	next := 0
	for i, got := range all {
		if got > next {
			t.Fatalf("line %d is %d, want %d", i+1, got, next)
		}
		next = max(next, got+1)
	}
}

// failures is how often the sink of the pipeline full has failed.
func failures(s *started) (n int64) {
	if code, _ := s.in("status"); code != 0 {
		return 0
	}
	for _, p := range s.status().Pipelines {
		if p.Name == "full" && len(p.Sinks) > 0 {
			n = p.Sinks[0].Errors
		}
	}
	return n
}
