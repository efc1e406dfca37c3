package file_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/file"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// target is an opened sink.
type target struct {
	flow.Sink
	prepare flow.Preparer
	builder *config.Builder
	host    *connectortest.Host
}

func buildSink(t *testing.T, text string) (config.Sink, *config.Builder) {
	t.Helper()
	cfg := file.Type().NewSink()
	var built config.Sink
	b, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	if findings != nil {
		t.Fatal(findings)
	}
	return built, b
}

func openSink(t *testing.T, text string, host *connectortest.Host) *target {
	t.Helper()
	built, b := buildSink(t, text)
	s, err := built.Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &target{Sink: s, prepare: built.Preparer, builder: b, host: host}
}

// send sends bodies and gives the results.
func (s *target) send(t *testing.T, bodies ...string) []error {
	t.Helper()
	var outs []*flow.Outgoing
	for _, body := range bodies {
		o, err := connectortest.Outgoing(s.prepare, flow.Record{Body: []byte(body), Key: []byte(body), Attempt: 1}, s.builder.Scope.Paths)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, o)
	}
	if err := connectortest.Send(t.Context(), s, outs); err != nil {
		t.Fatal(err)
	}
	return connectortest.Errors(outs)
}

func (s *target) mustSend(t *testing.T, bodies ...string) {
	t.Helper()
	for i, err := range s.send(t, bodies...) {
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func TestFilesKeepTheContractOfSinks(t *testing.T) {
	for _, sync := range []string{"none", "batch", "every"} {
		t.Run(sync, func(t *testing.T) {
			connectortest.Sink(t, connectortest.SinkSuite{
				Open: func(t *testing.T, host *connectortest.Host) (flow.Sink, flow.Preparer, func() []string) {
					path := filepath.Join(t.TempDir(), "deep", "down", "out.ndjson")
					s := openSink(t, "path: "+path+"\nsync: "+sync+"\n", host)
					return s, s.prepare, func() []string { return strings.Split(strings.TrimSuffix(content(t, path), "\n"), "\n") }
				},
			})
		})
	}
}

func TestLinesAreAppended(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "out"), "before\n")
	s := openSink(t, "path: "+path+"\n", connectortest.NewHost(t))
	s.mustSend(t, "a", "b")
	s.mustSend(t, "c", "")
	if diff := cmp.Diff("before\na\nb\nc\n\n", content(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestATornLastLineIsCutAndLogged(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for name, test := range map[string]struct{ before, after string }{
		"a short one": {"whole\nto", "whole\n"}, "a long one": {"whole\n" + long, "whole\n"}, "nothing else": {long, ""},
		"none": {"whole\n", "whole\n"}, "an empty file": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), "out"), test.before)
			host := connectortest.NewHost(t)
			var log strings.Builder
			host.Log = slog.New(slog.NewTextHandler(&log, nil))
			s := openSink(t, "path: "+path+"\n", host)
			if got := content(t, path); got != test.before {
				t.Errorf("opening has changed the file")
			}
			s.mustSend(t, "new")
			if diff := cmp.Diff(test.after+"new\n", content(t, path)); diff != "" {
				t.Error(diff)
			}
			if logged := strings.Contains(log.String(), "unfinished"); logged != (test.before != test.after) {
				t.Errorf("log: %s", &log)
			}
		})
	}
}

func TestTwoSinksOfOneFileShareIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	host := connectortest.NewHost(t)
	a := openSink(t, "path: "+path+"\n", host)
	a.mustSend(t, "1")
	b := openSink(t, "path: "+path+"\n", host)
	if host.Shared() != 1 {
		t.Errorf("%d files are open, want 1", host.Shared())
	}
	b.mustSend(t, "2")
	a.mustSend(t, "3")
	if diff := cmp.Diff("1\n2\n3\n", content(t, path)); diff != "" {
		t.Error(diff)
	}
	for i, s := range []*target{a, b} {
		if err := s.Close(t.Context()); err != nil || host.Shared() != 1-i {
			t.Errorf("after closing %d of 2: %v, %d files are open", i+1, err, host.Shared())
		}
	}
}

func TestAFileIsOneByWhateverPathAndWhenever(t *testing.T) {
	dir, host := t.TempDir(), connectortest.NewHost(t)
	if err := os.MkdirAll(dir+"/real", 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir+"/real", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	a := openSink(t, "path: "+dir+"/link/new/deep/out\n", host) // whose directories are made only now
	a.mustSend(t, "1")
	for _, path := range []string{"/link/new/deep/out", "/real/new/deep/out"} {
		openSink(t, "path: "+dir+path+"\n", host).mustSend(t, "2")
	}
	if diff := cmp.Diff("1\n2\n2\n", content(t, dir+"/real/new/deep/out")); diff != "" || host.Shared() != 1 {
		t.Errorf("%d files are open: %s", host.Shared(), diff)
	}
}

func TestAFileThatWasMovedAwayIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	s := openSink(t, "path: "+path+"\n", connectortest.NewHost(t))
	s.mustSend(t, "1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.mustSend(t, "2")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.mustSend(t, "3")
	if got := content(t, path+".1") + content(t, path); got != "1\n3\n" {
		t.Errorf("got %q", got)
	}
}

func TestAFullDiskIsTransient(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatal("the test needs /dev/full")
	}
	s := openSink(t, "path: /dev/full\n", connectortest.NewHost(t))
	for i, err := range s.send(t, "a", "b") {
		if e := flow.AsError(err, flow.Poison, ""); e == nil || e.Class != flow.Transient || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func TestAShortWriteKeepsWholeLinesAlone(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	s := openSink(t, "path: "+path+"\n", connectortest.NewHost(t))
	s.mustSend(t, "first")
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	low := before
	low.Cur = 12 // six bytes are there, four fit besides, and two of the next line
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		t.Fatal(err)
	}
	results := s.send(t, "abc", "defgh", "i")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "first\nabc\n" {
		t.Errorf("the file holds %q", got)
	}
	if results[0] != nil {
		t.Errorf("a whole line is not confirmed: %v", results[0])
	}
	for _, err := range results[1:] {
		if e := flow.AsError(err, flow.Poison, ""); e == nil || e.Class != flow.Transient {
			t.Errorf("got %v", err)
		}
	}
	s.mustSend(t, "defgh", "i")
	if got := content(t, path); got != "first\nabc\ndefgh\ni\n" {
		t.Errorf("the file holds %q", got)
	}
}

func TestThePathMayDependOnTheMessage(t *testing.T) {
	dir := t.TempDir()
	s := openSink(t, `path: "`+dir+`/by-{{ body.site }}/{{ body.n % 2 }}.ndjson"`+"\n", connectortest.NewHost(t))
	s.mustSend(t, `{"site":"a","n":1}`, `{"site":"b","n":2}`, `{"site":"a","n":3}`)
	got := []string{content(t, dir+"/by-a/1.ndjson"), content(t, dir+"/by-b/0.ndjson")}
	if diff := cmp.Diff([]string{`{"site":"a","n":1}` + "\n" + `{"site":"a","n":3}` + "\n", `{"site":"b","n":2}` + "\n"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestManyFilesAreNotAllKeptOpen(t *testing.T) {
	dir := t.TempDir()
	host := connectortest.NewHost(t)
	s := openSink(t, `path: "`+dir+`/{{ body }}"`+"\n", host)
	for round := range 2 {
		var bodies []string
		for i := range 300 {
			bodies = append(bodies, fmt.Sprint(i))
		}
		s.mustSend(t, bodies...)
		if n := host.Shared(); n > 64 {
			t.Fatalf("round %d: %d files are open", round, n)
		}
	}
	if err := s.Close(t.Context()); err != nil || host.Shared() != 0 {
		t.Errorf("after Close: %v, %d files are open", err, host.Shared())
	}
	for _, i := range []int{0, 150, 299} {
		if got, want := content(t, fmt.Sprintf("%s/%d", dir, i)), fmt.Sprintf("%d\n%d\n", i, i); got != want {
			t.Errorf("file %d holds %q", i, got)
		}
	}
}

func TestNoMessageLeadsOutOfItsDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/in", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, dir+"/in/link"); err != nil {
		t.Fatal(err)
	}
	s := openSink(t, `path: "`+dir+`/in/{{ body }}"`+"\n", connectortest.NewHost(t))
	for _, name := range []string{"../x", "a/../../x", "..", ".", "", "/etc/x", "a//b", "a/", `a\u0000b`, strings.Repeat("x", 201),
		".hidden", "a/.b", "a b", "ä", "a\u0308", "a:b", "a\\n", "~"} {
		_, err := connectortest.Outgoing(s.prepare, flow.Record{Body: []byte(`"` + name + `"`), Attempt: 1}, s.builder.Scope.Paths)
		var e *flow.Error
		if !errors.As(err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeInvalidName {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, err := range s.send(t, `"link/x"`) {
		if e := flow.AsError(err, flow.Transient, ""); e == nil || e.Class != flow.Permanent {
			t.Errorf("a symbolic link: %v", err)
		}
	}
	if _, err := os.Stat(dir + "/x"); err == nil {
		t.Error("a file was written outside")
	}
}

func TestNoMessageLeadsIntoAFileThatAnotherSinkHasOpen(t *testing.T) {
	dir, host := t.TempDir(), connectortest.NewHost(t)
	other := openSink(t, "path: "+dir+"/other\n", host)
	other.mustSend(t, "1")
	if err := os.Mkdir(dir+"/in", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir+"/other", dir+"/in/link"); err != nil {
		t.Fatal(err)
	}
	s := openSink(t, `path: "`+dir+`/in/{{ body }}"`+"\n", host)
	for _, err := range s.send(t, `"link"`) {
		if e := flow.AsError(err, flow.Transient, ""); e == nil || e.Class != flow.Permanent {
			t.Errorf("a symbolic link: %v", err)
		}
	}
	if diff := cmp.Diff("1\n", content(t, dir+"/other")); diff != "" {
		t.Error(diff)
	}
}

func TestAllowNamesWhatMayBeWritten(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s := openSink(t, "path: \"{{ body }}\"\nallow: [\"logs/*.txt\", plain]\n", connectortest.NewHost(t))
	s.mustSend(t, `"logs/a.txt"`, `"plain"`)
	for _, name := range []string{"logs/a.csv", "other", "logs/deep/a.txt", "logs/../plain"} {
		if _, err := connectortest.Outgoing(s.prepare, flow.Record{Body: []byte(`"` + name + `"`), Attempt: 1}, s.builder.Scope.Paths); err == nil {
			t.Errorf("%s is allowed", name)
		}
	}
}

func TestWholeMessagesAreFilesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	s := openSink(t, `path: "`+dir+`/{{ body.id }}/x.json"`+"\nframing: whole\n", connectortest.NewHost(t))
	s.mustSend(t, `{"id":"a"}`, "{\n\"id\":\"b\"}")
	s.mustSend(t, `{"id":"a"}`)
	if got := content(t, dir+"/a/x.json") + content(t, dir+"/b/x.json"); got != `{"id":"a"}{`+"\n"+`"id":"b"}` {
		t.Errorf("got %q", got)
	}
	err := s.send(t, `{"id":"a","other":1}`)[0]
	if e := flow.AsError(err, flow.Transient, ""); e == nil || e.Class != flow.Permanent || e.Code != flow.CodeRefused {
		t.Errorf("a file was to be overwritten: %v", err)
	}
	entries, readErr := os.ReadDir(dir + "/a")
	if readErr != nil || len(entries) != 1 || content(t, dir+"/a/x.json") != `{"id":"a"}` {
		t.Errorf("entries %v, %v", entries, readErr)
	}
}

func TestAPathThatCannotBeOpenedIsAnErrorOfOpen(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "x\n")
	fifo := dir + "/fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, dir + "/file/below", fifo} {
		host := connectortest.NewHost(t)
		built, _ := buildSink(t, "path: "+path+"\n")
		_, err := built.Open(t.Context(), host)
		if e := flow.AsError(err, flow.Transient, ""); e == nil || e.Class != flow.ConfigError {
			t.Errorf("%s: %v", path, err)
		}
		if host.Shared() != 0 {
			t.Errorf("%s: a file is left open", path)
		}
	}
}

func TestMistakesInAFileSinkAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"{}\n":                                   "missing-key",
		"path: \"\"\n":                           "bad-value",
		"path: out/\n":                           "bad-value",
		"path: \"{{ body.x }}\"\n":               "open-destination",
		"path: \"/{{ body.x }}\"\n":              "open-destination",
		"path: out/{{ bdy }}\n":                  "unknown-name",
		"path: out\nframing: whole\n":            "bad-value",
		"path: out\nsync: often\n":               "bad-value",
		"path: out\nrotate: 1MiB\n":              "wrong-type",
		"path: out\nrotate: {}\n":                "bad-value",
		"path: out\nrotate: { every: 1ms }\n":    "bad-value",
		"path: out\nopen_files: 0\n":             "bad-value",
		"path: \"out/{{ id }}\"\nmax_files: 0\n": "bad-value",
		"path: \"out/my {{ id }}\"\n":            "bad-value",
		"path: \"out/{{ id }}\"\nframing: whole\nrotate: { size: 1MiB }\n": "bad-value",
		"path: \"{{ id }}\"\nallow: [\"a[\"]\n":                            "bad-value",
	} {
		cfg := file.Type().NewSink()
		_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { cfg.BuildSink(b) })
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: %q, want %s", text, findings, want)
		}
	}
}

func TestAPathThatReadsLikeOneOfTheMessageIsFound(t *testing.T) {
	for text, want := range map[string]string{"path: body.name\n": "expression-in-literal", "path: ./body.name\n": "", "path: \"{{ body.q }}\"\n": "open-destination"} {
		cfg := file.Type().NewSink()
		_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { cfg.BuildSink(b) })
		if want == "" && findings != nil || want != "" && (len(findings) != 1 || !strings.Contains(findings[0], want)) {
			t.Errorf("%q: %q, want %s", text, findings, want)
		}
	}
}
