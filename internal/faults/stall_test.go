//go:build integration

package faults

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stallFor is how long the sink does not answer: MILLSTREAM_STALL, a duration, 6 s by default.
func stallFor(t *testing.T) time.Duration {
	s := os.Getenv("MILLSTREAM_STALL")
	if s == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("MILLSTREAM_STALL: %v", err)
	}
	return d
}

// A memory sink that nobody subscribes to never answers.
const stalled = `name: stalled
from: { generate: { body: "{id: n, pad: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'}" } }
to: { memory: { topic: nobody-listens } }
`

const neighbour = `name: neighbour
from: { generate: { body: "{id: n, pad: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'}" } }
steps:
  - filter: body.id >= 0
to: { drop: {} }
`

func TestStalledSinkTouchesNoNeighbourAndKeepsMemoryFlat(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	span := stallFor(t)
	alone, _, _ := watch(t, binary, span, map[string]string{"neighbour.yaml": neighbour})
	beside, rss, code := watch(t, binary, span, map[string]string{"neighbour.yaml": neighbour, "stalled.yaml": stalled})
	half := len(rss) / 2
	early, late := highest(rss[:half]), highest(rss[half:])
	t.Logf("%s: memory at most %d KiB in the first half, %d KiB in the second; neighbour %d messages alone, %d beside (%.2f)",
		span, early, late, alone, beside, float64(beside)/float64(alone))
	if late > early+early/4 || late > 256<<10 {
		t.Errorf("memory grows: %d KiB, then %d KiB", early, late)
	}
	if beside == 0 {
		t.Error("the neighbour did nothing")
	}
	if code != 3 {
		t.Errorf("exit code %d, want 3: the stalled pipeline cannot drain", code)
	}
}

// watch runs pipelines for a while, samples the process's memory in KiB, and returns what the neighbour let go.
func watch(t *testing.T, binary string, span time.Duration, files map[string]string) (delivered int64, rss []int64, code int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Start(binary, dir, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if kib, ok := residentKiB(p.cmd.Process.Pid); ok {
			rss = append(rss, kib)
		}
	}
	p.Terminate()
	if !p.WaitExit(30 * time.Second) {
		t.Fatalf("the process did not end after SIGTERM\n%s", p.Log())
	}
	m := regexp.MustCompile(`neighbour: \d+ in, 0 delivered, 0 filtered, (\d+) dropped`).FindStringSubmatch(p.Log())
	if m == nil {
		t.Fatalf("no summary of the neighbour\n%s", p.Log())
	}
	delivered, _ = strconv.ParseInt(m[1], 10, 64)
	return delivered, rss, p.Code()
}

func residentKiB(pid int) (int64, bool) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib, err == nil
		}
	}
	return 0, false
}

func highest(xs []int64) (most int64) {
	for _, x := range xs {
		most = max(most, x)
	}
	return most
}
