package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/millstream/millstream/internal/admin"
	"github.com/millstream/millstream/internal/revision"
)

// launchIn runs millstream with these arguments in a directory.
func launchIn(t *testing.T, dir string, args ...string) *started {
	t.Helper()
	s := &started{t: t, dir: dir, stderr: &output{}, ended: make(chan error, 1)}
	s.cmd = exec.Command("millstream", args...)
	s.cmd.Dir, s.cmd.Stderr = dir, s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

// in runs a command beside the process, in its directory, and returns what it says on stdout.
func (s *started) in(args ...string) (code int, stdout string) {
	s.t.Helper()
	cmd := exec.Command("millstream", args...)
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, s.stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (s *started) status() admin.Status {
	s.t.Helper()
	_, out := s.in("status", "--format", "json")
	var status admin.Status
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		s.t.Fatalf("status says %q: %v\n%s", out, err, s.stderr)
	}
	return status
}

// stopped ends the process in order and returns its exit code.
func (s *started) stopped() int {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	return s.exitCode()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// versioned is a pipeline that numbers its messages and says which version of the file made them.
func versioned(name string, version int) string {
	return fmt.Sprintf(`name: %s
from: { generate: { body: "{n: n}", rate: 5000/s } }
steps:
  - transform: { body.v: %d }
to: { file: { path: %s.ndjson } }
`, name, version, name)
}

type numbered struct{ N, V int }

func (s *started) lines(name string) []numbered {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name+".ndjson"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	var all []numbered
	for line := range bytes.Lines(b) {
		if line[len(line)-1] != '\n' {
			break
		}
		var l numbered
		if err := json.Unmarshal(line, &l); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

// arrives waits until a version of a pipeline has written something.
func (s *started) arrives(name string, version int) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("stderr:\n%s", s.stderr)
		}
	}()
	eventually(s.t, fmt.Sprintf("version %d of %s writes", version, name), func() bool {
		all := s.lines(name)
		return len(all) > 0 && all[len(all)-1].V == version
	})
}

// whole fails unless the messages of a pipeline that was started once are all there, once and in order, and no older version comes after
// a newer one.
func (s *started) whole(name string) {
	s.t.Helper()
	version := 0
	for i, l := range s.lines(name) {
		if l.N != i || l.V < version {
			s.t.Fatalf("line %d of %s is %+v, after version %d\n%s", i, name, l, version, s.stderr)
		}
		version = l.V
	}
}

// editing is a way to change p.yaml in the folder pipelines.
var editing = map[string]func(t *testing.T, dir, text string){
	"in place": func(t *testing.T, dir, text string) { write(t, filepath.Join(dir, "pipelines", "p.yaml"), text) },
	"by renaming": func(t *testing.T, dir, text string) {
		next := filepath.Join(dir, "pipelines", "sedABC")
		write(t, next, text)
		renameTo(t, next, filepath.Join(dir, "pipelines", "p.yaml"))
	},
	"by a new directory": func(t *testing.T, dir, text string) {
		write(t, filepath.Join(dir, "next", "p.yaml"), text)
		if err := os.RemoveAll(filepath.Join(dir, "old")); err != nil {
			t.Fatal(err)
		}
		renameTo(t, filepath.Join(dir, "pipelines"), filepath.Join(dir, "old"))
		renameTo(t, filepath.Join(dir, "next"), filepath.Join(dir, "pipelines"))
	},
	"by a ConfigMap": func(t *testing.T, dir, text string) {
		folder := filepath.Join(dir, "pipelines")
		now := fmt.Sprintf("..%d", len(glob(t, filepath.Join(folder, "..[0-9]*"))))
		write(t, filepath.Join(folder, now, "p.yaml"), text)
		link(t, now, filepath.Join(folder, "..data_tmp"))
		renameTo(t, filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data"))
		if _, err := os.Lstat(filepath.Join(folder, "p.yaml")); err != nil {
			link(t, "..data/p.yaml", filepath.Join(folder, "p.yaml"))
		}
	},
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func renameTo(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestAChangedFileIsTakenOverWhileMessagesFlow(t *testing.T) {
	for name, edit := range editing {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "pipelines", ".keep"), "")
			if name == "by a new directory" {
				write(t, filepath.Join(dir, "pipelines", "p.yaml"), "")
			}
			edit(t, dir, versioned("p", 1))
			s := launchIn(t, dir, "run", "pipelines")
			for version := 1; version <= 4; version++ {
				if version > 1 {
					edit(t, dir, versioned("p", version))
				}
				s.arrives("p", version)
			}
			if code := s.stopped(); code != exitFine {
				t.Errorf("exit code %d\n%s", code, s.stderr)
			}
			s.whole("p")
		})
	}
}

func TestABrokenFileChangesNothingUntilItIsMended(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "d", "a.yaml"), filepath.Join(dir, "d", "b.yaml")
	write(t, a, versioned("a", 1))
	write(t, b, versioned("b", 1))
	s := launchIn(t, dir, "run", "d")
	s.arrives("a", 1)
	write(t, a, strings.Replace(versioned("a", 2), "body.v", "boddy.v", 1))
	write(t, b, versioned("b", 2))
	s.arrives("b", 2)
	status := s.status()
	if last := status.Attempts[0]; last.Outcome != revision.Partly || len(last.Older) != 1 || last.Older[0].Pipeline != "a" ||
		!strings.Contains(string(last.Findings), `"unknown-target"`) || !status.Pipelines[0].Older || !status.Ready {
		t.Errorf("%+v", status)
	}
	if code, out := s.in("status"); code != exitInvalid || !strings.Contains(out, "d/a.yaml:4:18: error: ") {
		t.Errorf("status ends with %d and says\n%s", code, out)
	}
	if !strings.Contains(s.stderr.String(), "\nd/a.yaml:4:18: error: ") {
		t.Errorf("the finding is not shown\n%s", s.stderr)
	}
	write(t, a, versioned("a", 3))
	s.arrives("a", 3)
	if code, out := s.in("status"); code != exitFine {
		t.Errorf("status ends with %d and says\n%s", code, out)
	}
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	s.whole("a")
	s.whole("b")
	for _, l := range s.lines("a") {
		if l.V == 2 {
			t.Fatal("the broken version ran")
		}
	}
}

func TestAReloadIsTakenAtOnceWithoutWatching(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	write(t, file, versioned("p", 1))
	s := launchIn(t, dir, "run", "p.yaml")
	s.arrives("p", 1)

	write(t, file, versioned("p", 2))
	s.signal(syscall.SIGHUP)
	s.arrives("p", 2)

	write(t, file, versioned("p", 3))
	code, out := s.in("reload", "--format", "json")
	var receipt revision.Attempt
	if err := json.Unmarshal([]byte(out), &receipt); err != nil || code != exitFine {
		t.Fatalf("reload ends with %d and says %q", code, out)
	}
	if receipt.Outcome != revision.Applied || receipt.Trigger != revision.ByCommand || receipt.Revision != 3 || len(receipt.Steps) != 1 ||
		receipt.Steps[0].Action != "swap" || receipt.Pause != 0 {
		t.Errorf("the receipt is %s", out)
	}
	s.arrives("p", 3)

	write(t, file, versioned("p", 4))
	if code, out := s.in("plan", "p.yaml"); code != exitFine || !strings.HasPrefix(out, "swap  p") {
		t.Errorf("plan ends with %d and says %q", code, out)
	}
	write(t, file, "nonsense: 1\n")
	if code, out := s.in("reload"); code != exitInvalid || !strings.Contains(out, "p.yaml:1:1: error: ") {
		t.Errorf("reload ends with %d and says %q", code, out)
	}
	if code, out := s.in("plan", "p.yaml"); code != exitInvalid || !strings.HasPrefix(out, "keep  p") {
		t.Errorf("plan ends with %d and says %q", code, out)
	}
	if status := s.status(); status.Reloads.Applied != 2 || status.Reloads.Refused != 1 || status.Revision != 3 || len(status.Attempts) != 4 {
		t.Errorf("%+v", status)
	}
	write(t, file, versioned("p", 5))
	s.signal(syscall.SIGHUP)
	s.arrives("p", 5)
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	s.whole("p")
	if _, err := os.Stat(filepath.Join(dir, ".millstream")); !os.IsNotExist(err) {
		t.Errorf("something is left of the socket: %v", err)
	}
}

func TestFilesComeAndGoInADirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "readme.txt"), "no pipeline")
	s := launchIn(t, dir, "run", "d")
	eventually(t, "it waits for a pipeline", func() bool { return strings.Contains(s.stderr.String(), "waiting for one") })
	write(t, filepath.Join(dir, "d", "a.yaml"), versioned("a", 1))
	s.arrives("a", 1)
	write(t, filepath.Join(dir, "d", "b.yaml"), versioned("b", 1))
	s.arrives("b", 1)
	renameTo(t, filepath.Join(dir, "d", "a.yaml"), filepath.Join(dir, "d", "c.yaml"))
	write(t, filepath.Join(dir, "d", "c.yaml"), versioned("a", 2))
	s.arrives("a", 2)
	if err := os.Remove(filepath.Join(dir, "d", "b.yaml")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b is stopped", func() bool { return len(s.status().Pipelines) == 1 })
	if kept := glob(t, filepath.Join(dir, ".millstream", "*", "revision.json")); len(kept) != 1 {
		t.Errorf("kept: %v", kept)
	}
	if err := os.Remove(filepath.Join(dir, "d", "c.yaml")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a is stopped", func() bool { return len(s.status().Pipelines) == 0 })
	s.whole("a")
	s.whole("b")
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
}

func TestWhatAFileReadsIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"d/p.yaml": `name: p
vars: { v: "${V}" }
tables: { t: { file: ../t.csv, key: k, types: { add: int } } }
from: { generate: { body: "{n: n}", rate: 5000/s } }
steps:
  - transform: { body.v: 'int(vars.v) + lookup("t", "x").add' }
to: { file: { path: p.ndjson } }
`,
		"t.csv": "k,add\nx,1\n", "vars.env": "V=10\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	s := launchIn(t, dir, "run", "d", "--env-file", "vars.env")
	s.arrives("p", 11)
	write(t, filepath.Join(dir, "t.csv"), "k,add\nx,2\n")
	s.arrives("p", 12)
	write(t, filepath.Join(dir, "vars.env"), "V=20\n")
	s.arrives("p", 22)
	write(t, filepath.Join(dir, "t.csv"), "k,add\nx,none\n")
	eventually(t, "the broken table is found", func() bool { return strings.Contains(s.stderr.String(), "t.csv:2:3: error: ") })
	write(t, filepath.Join(dir, "t.csv"), "k,add\nx,3\n")
	s.arrives("p", 23)
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	s.whole("p")
}

func TestAStartWithABrokenFileRunsItsLastGoodRevision(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "d", "a.yaml"), filepath.Join(dir, "d", "b.yaml")
	write(t, a, versioned("a", 1))
	write(t, b, versioned("b", 1))
	s := launchIn(t, dir, "run", "d")
	s.arrives("a", 1)
	s.arrives("b", 1)
	eventually(t, "both are remembered", func() bool { return len(glob(t, filepath.Join(dir, ".millstream", "*", "revision.json"))) == 2 })
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err == nil {
		t.Fatal("it ended well before it was killed")
	}

	write(t, a, "name: [\n")
	write(t, b, versioned("b", 2))
	write(t, filepath.Join(dir, "d", "c.yaml"), "nonsense\n") // nothing is remembered of it
	s = launchIn(t, dir, "run", "d")
	s.arrives("a", 1)
	s.arrives("b", 2)
	eventually(t, "it is said loudly", func() bool {
		log := s.stderr.String()
		return strings.Contains(log, "level=ERROR msg=\"pipeline runs its last good revision") && strings.Contains(log, "d/a.yaml:1:7: error: ")
	})
	status := s.status()
	if last := status.Attempts[0]; last.OK() || len(last.Older) != 1 || !last.Older[0].Kept || len(last.Broken) != 2 {
		t.Errorf("%+v", last)
	}
	if code, _ := s.in("status"); code != exitInvalid {
		t.Errorf("status ends with %d", code)
	}
	if code := s.stopped(); code != exitInvalid {
		t.Errorf("exit code %d, want %d\n%s", code, exitInvalid, s.stderr)
	}

	s = launchIn(t, dir, "run", "d")
	s.arrives("a", 1)
	write(t, a, versioned("a", 3))
	s.arrives("a", 3)
	if err := os.Remove(filepath.Join(dir, "d", "c.yaml")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is well", func() bool { return s.status().Attempts[0].OK() })
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	kept, err := os.ReadFile(filepath.Join(dir, ".millstream", "a", "revision.json"))
	if err != nil || !strings.Contains(string(kept), "body.v: 3") {
		t.Errorf("kept: %s, %v", kept, err)
	}
}

func TestTheLastGoodRevisionHoldsNoSecretOfTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "p.yaml"), `name: p
env: { TOKEN: { secret: true } }
vars: { token: "${TOKEN}" }
from: { generate: { body: "{n: n, v: 1}", rate: 100/s } }
steps:
  - transform: { body.mac: "hmac(string(body.n), vars.token)" }
to: { file: { path: p.ndjson } }
`)
	t.Setenv("TOKEN", "CANARY-token")
	s := launchIn(t, dir, "run", "d")
	s.arrives("p", 1)
	eventually(t, "it is remembered", func() bool { return len(glob(t, filepath.Join(dir, ".millstream", "*", "revision.json"))) == 1 })
	for _, args := range [][]string{{"status"}, {"status", "--format", "json"}, {"reload"}, {"plan", "d"}} {
		if _, out := s.in(args...); strings.Contains(out, "CANARY") || out == "" {
			t.Errorf("%v says %q", args, out)
		}
	}
	s.stopped()
	file := filepath.Join(dir, ".millstream", "p", "revision.json")
	kept, err := os.ReadFile(file)
	if err != nil || bytes.Contains(kept, []byte("CANARY")) || !bytes.Contains(kept, []byte("${TOKEN}")) {
		t.Errorf("kept: %s, %v", kept, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// toNobody is a pipeline whose broker is down.
func toNobody(t *testing.T, name string) string {
	t.Helper()
	return fmt.Sprintf("name: %s\nfrom: { generate: { body: n } }\nto: { kafka: { brokers: [\"127.0.0.1:%d\"], topic: t } }\n", name, freePort(t))
}

func TestABrokerThatIsDownHoldsUpNoOtherChange(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "a.yaml"), versioned("a", 1))
	write(t, filepath.Join(dir, "d", "start.yaml"), toNobody(t, "start"))
	s := launchIn(t, dir, "run", "d", "--start-timeout", "10m")
	s.arrives("a", 1)
	write(t, filepath.Join(dir, "d", "a.yaml"), versioned("a", 2))
	s.arrives("a", 2)
	write(t, filepath.Join(dir, "d", "start.yaml"), versioned("start", 2))
	s.arrives("start", 2)
	write(t, filepath.Join(dir, "d", "start.yaml"), toNobody(t, "start")) // it must be open before the old one is closed
	write(t, filepath.Join(dir, "d", "a.yaml"), versioned("a", 3))
	s.arrives("a", 3)
	write(t, filepath.Join(dir, "d", "start.yaml"), versioned("start", 4))
	s.arrives("start", 4)
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	s.whole("a")
	s.whole("start")
}

func TestTheOnlyPipelineIsMendedWhileItWaitsForItsBroker(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "a.yaml"), toNobody(t, "a"))
	s := launchIn(t, dir, "run", "d", "--start-timeout", "10m")
	eventually(t, "a is tried", func() bool { return strings.Contains(s.stderr.String(), "cannot start yet") })
	write(t, filepath.Join(dir, "d", "a.yaml"), versioned("a", 1))
	s.arrives("a", 1)
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	s.whole("a")
}

func TestASignalEndsAReloadThatWaits(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "a.yaml"), versioned("a", 1))
	s := launchIn(t, dir, "run", "d", "--start-timeout", "10m", "--drain-timeout", "10m")
	s.arrives("a", 1)
	write(t, filepath.Join(dir, "d", "b.yaml"), toNobody(t, "b"))
	eventually(t, "b is tried", func() bool { return strings.Contains(s.stderr.String(), "cannot start yet") })
	s.signal(syscall.SIGTERM)
	if code := s.exitCode(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	s.whole("a")
}
