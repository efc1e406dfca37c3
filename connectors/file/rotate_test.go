package file_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// generations are the contents of a file and of those it was rotated to, the oldest first.
func generations(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var all []string
	for _, name := range append(names, path) {
		all = append(all, content(t, name))
	}
	return all
}

func TestAFileIsRotatedBySizeBetweenLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	text := "path: " + path + "\nrotate: { size: 8B }\n"
	s := openSink(t, text, connectortest.NewHost(t))
	s.mustSend(t, "abc", "def", "g", "0123456789", "h", "i")
	want := []string{"abc\ndef\n", "g\n", "0123456789\n", "h\ni\n"}
	if diff := cmp.Diff(want, generations(t, path)); diff != "" {
		t.Fatal(diff)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = openSink(t, text, connectortest.NewHost(t))
	s.mustSend(t, "jkl", "m")
	want = append(want[:3], "h\ni\njkl\n", "m\n")
	if diff := cmp.Diff(want, generations(t, path)); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
}

func TestAFileOfAnEarlierPeriodIsRotated(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "out"), "yesterday\ntor")
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	s := openSink(t, "path: "+path+"\nrotate: { every: 24h }\n", connectortest.NewHost(t))
	s.mustSend(t, "today")
	s.mustSend(t, "too")
	if diff := cmp.Diff([]string{"yesterday\n", "today\ntoo\n"}, generations(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestRotatedNamesAreNeverTakenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	s := openSink(t, "path: "+path+"\nrotate: { size: 2B }\nsync: none\n", connectortest.NewHost(t))
	var bodies, want []string
	for i := range 300 {
		bodies = append(bodies, fmt.Sprint(i))
		want = append(want, fmt.Sprintf("%d\n", i))
	}
	s.mustSend(t, bodies...)
	if diff := cmp.Diff(want, generations(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestRenderedFilesAreRotatedWithinTheirDirectory(t *testing.T) {
	dir := t.TempDir()
	s := openSink(t, `path: "`+dir+`/{{ body }}/x.log"`+"\nrotate: { size: 3B }\n", connectortest.NewHost(t))
	s.mustSend(t, "1", "2", "1", "2", "1")
	for i, want := range map[string][]string{"1": {"1\n", "1\n", "1\n"}, "2": {"2\n", "2\n"}} {
		if diff := cmp.Diff(want, generations(t, dir+"/"+i+"/x.log")); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFilesAreMadeForTheirUserAndGroup(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	openSink(t, "path: "+dir+"/new/out\n", connectortest.NewHost(t)).mustSend(t, "a")
	openSink(t, `path: "`+dir+`/new/{{ body }}/x"`+"\n", connectortest.NewHost(t)).mustSend(t, `"a"`)
	openSink(t, `path: "`+dir+`/new/{{ body }}/y"`+"\nframing: whole\n", connectortest.NewHost(t)).mustSend(t, `"a"`)
	for name, want := range map[string]os.FileMode{"new": 0o750, "new/a": 0o750, "new/out": 0o640, "new/a/x": 0o640, "new/a/y": 0o640} {
		if info, err := os.Stat(dir + "/" + name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestMessagesDoNotWriteIntoWhatIsNoFile(t *testing.T) {
	for _, framing := range []string{"lines", "whole"} {
		dir := t.TempDir()
		write(t, dir+"/real", "")
		if err := errors.Join(os.Symlink(dir+"/real", dir+"/link"), syscall.Mkfifo(dir+"/fifo", 0o600), os.Mkdir(dir+"/dir", 0o700)); err != nil {
			t.Fatal(err)
		}
		s := openSink(t, `path: "`+dir+`/{{ body }}"`+"\nframing: "+framing+"\n", connectortest.NewHost(t))
		for _, name := range []string{"link", "fifo", "dir"} {
			if e := flow.AsError(s.send(t, `"`+name+`"`)[0], flow.Poison, ""); e == nil || e.Class != flow.Permanent || e.Code != flow.CodeInvalidName {
				t.Errorf("%s %s: %v", framing, name, e)
			}
		}
	}
}

func TestMessagesLeadToABoundedNumberOfFiles(t *testing.T) {
	dir := t.TempDir()
	s := openSink(t, `path: "`+dir+`/{{ body }}"`+"\nmax_files: 3\nopen_files: 2\n", connectortest.NewHost(t))
	s.mustSend(t, "1", "2", "3", "1")
	results := s.send(t, "4", "2")
	if e := flow.AsError(results[0], flow.Poison, ""); e == nil || e.Class != flow.Permanent || e.Code != flow.CodeRefused {
		t.Errorf("a file too many: %v", results[0])
	}
	if results[1] != nil {
		t.Errorf("a file that is known: %v", results[1])
	}
	if n := s.host.Shared(); n > 2 {
		t.Errorf("%d files are open", n)
	}
}

// TestAnotherProcessThatWritesIsRefused has flock(1) hold the lock as another process does.
func TestAnotherProcessThatWritesIsRefused(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "out"), "theirs\nhal")
	other := exec.CommandContext(t.Context(), "flock", path, "sh", "-c", "echo locked; read x")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	built, _ := buildSink(t, "path: "+path+"\n")
	_, err = built.Open(t.Context(), connectortest.NewHost(t))
	if e := flow.AsError(err, flow.Poison, ""); e == nil || e.Class != flow.Transient || !strings.Contains(e.Message, "another process") {
		t.Errorf("a locked file opens with %v", err)
	}
	if err := built.Connect(t.Context(), connectortest.NewHost(t)); err != nil {
		t.Errorf("a look at a file that is in use gives %v", err)
	}
	if got := content(t, path); got != "theirs\nhal" {
		t.Errorf("the file holds %q", got)
	}
	if err := errors.Join(in.Close(), ignoreExit(other.Wait())); err != nil {
		t.Fatal(err)
	}
	openSink(t, "path: "+path+"\n", connectortest.NewHost(t)).mustSend(t, "ours")
	if got := content(t, path); got != "theirs\nours\n" {
		t.Errorf("the file holds %q", got)
	}
}

func ignoreExit(err error) error {
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		return nil
	}
	return err
}

func TestConnectLooksAndMakesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/there", "x\n")
	for text, want := range map[string]flow.Code{
		"path: " + dir + "/there\n": "", "path: " + dir + "/new/deep/out\n": "", `path: "` + dir + `/a/{{ id }}"` + "\n": "",
		"path: " + dir + "\n": flow.CodeInvalidName, "path: " + dir + "/there/below\n": flow.CodeInvalidName, "path: /proc/1/nothing\n": flow.CodeAuth,
	} {
		built, _ := buildSink(t, text)
		err := built.Connect(t.Context(), connectortest.NewHost(t))
		if e := flow.AsError(err, flow.Poison, ""); want == "" && err != nil || want != "" && (e == nil || e.Code != want && os.Getuid() != 0) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, good := range map[string]bool{dir + "/there": true, dir + "/none": false, dir + "/none\nfollow: true": true, dir + "\n": false} {
		err := buildSource(t, "path: "+text+"\n").Connect(t.Context(), connectortest.NewHost(t))
		if (err == nil) != good {
			t.Errorf("source %s: %v", text, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}
