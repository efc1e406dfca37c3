package file_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/file"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func buildSource(t *testing.T, text string) config.Source {
	t.Helper()
	cfg := file.Type().NewSource()
	var built config.Source
	if _, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSource(b) }); findings != nil {
		t.Fatal(findings)
	}
	return built
}

func openSource(t *testing.T, text string, host *connectortest.Host) flow.Source {
	t.Helper()
	s, err := buildSource(t, text).Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read runs a source to its end.
func read(t *testing.T, text string, limits flow.Limits) []connectortest.Got {
	t.Helper()
	host := connectortest.NewHost(t)
	host.Bounds = limits
	s := openSource(t, text, host)
	in := &connectortest.Intake{Source: s}
	if err := s.Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if err := in.Offence(); err != nil {
		t.Error(err)
	}
	return in.Got()
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFilesKeepTheContractOfSources(t *testing.T) {
	for _, framing := range []string{"lines", "whole"} {
		t.Run(framing, func(t *testing.T) {
			dir := t.TempDir()
			var want []string
			for i := range 30 {
				var text []string
				for k := range 40 {
					text = append(text, fmt.Sprintf(`{"file":%d,"line":%d}`, i, k))
				}
				write(t, filepath.Join(dir, fmt.Sprintf("%02d.ndjson", i)), strings.Join(text, "\n"))
				if framing == "whole" {
					text = []string{strings.Join(text, "\n")}
				}
				want = append(want, text...)
			}
			suite := connectortest.SourceSuite{
				Finite: true, Want: want,
				Open: func(t *testing.T, host *connectortest.Host) flow.Source {
					return openSource(t, "path: "+dir+"/*.ndjson\nframing: "+framing+"\n", host)
				},
			}
			if framing == "lines" {
				suite.Idle = func(t *testing.T, host *connectortest.Host) flow.Source {
					fifo := filepath.Join(t.TempDir(), "fifo")
					if err := syscall.Mkfifo(fifo, 0o600); err != nil {
						t.Fatal(err)
					}
					w, err := os.OpenFile(fifo, os.O_RDWR, 0)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = w.Close() })
					return openSource(t, "path: "+fifo+"\n", host)
				}
			}
			connectortest.Source(t, suite)
		})
	}
}

func TestLinesCarryTheirFileAndOffset(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.txt"), "3\r\n\n44")
	write(t, filepath.Join(dir, "a.txt"), "1\n22\n")
	write(t, filepath.Join(dir, ".c.txt"), "hidden\n")
	write(t, filepath.Join(dir, "d.txt", "inside"), "in a directory\n")
	var got []string
	for _, g := range read(t, "path: "+dir+"/*.txt\n", connectortest.DefaultLimits()) {
		got = append(got, fmt.Sprintf("%s %s@%d", g.Body, filepath.Base(g.Topic), g.Offset))
	}
	if diff := cmp.Diff([]string{"1 a.txt@0", "22 a.txt@2", "3 b.txt@0", "44 b.txt@4"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestResumeGoesOnBehindALineThatIsTooLong(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "in"), "a\n"+strings.Repeat("x", 300<<10)+"\n")
	host := connectortest.NewHost(t)
	host.Bounds.MaxMessage = 100 << 10
	for _, want := range [][]string{{"a", strings.Repeat("x", 64<<10)}, {}, {"b"}} {
		s := openSource(t, "path: "+path+"\nresume: true\n", host)
		in := &connectortest.Intake{Source: s}
		if err := s.Run(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, in.Bodies()); diff != "" {
			t.Errorf("%.200s", diff)
		}
		if len(want) == 0 {
			write(t, path, content(t, path)+"b\n")
		}
	}
}

func TestANameThatExistsIsNoPattern(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a[1].txt"), "x\n")
	if got := read(t, "path: "+path+"\n", connectortest.DefaultLimits()); len(got) != 1 {
		t.Errorf("%d records", len(got))
	}
}

func TestWholeFilesOverTheLimitFailAlone(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", 200<<10)
	write(t, filepath.Join(dir, "1"), "small\nfile\n")
	write(t, filepath.Join(dir, "2"), long)
	write(t, filepath.Join(dir, "3"), "")
	limits := connectortest.DefaultLimits()
	limits.MaxMessage = 100 << 10
	got := read(t, "path: "+dir+"/*\nframing: whole\n", limits)
	if len(got) != 3 || string(got[0].Body) != "small\nfile\n" || got[2].Body == nil || len(got[2].Body) != 0 {
		t.Fatalf("got %d records", len(got))
	}
	if f := got[1].Failure; f == nil || f.Code != flow.CodeTooLarge || string(got[1].Body) != long[:64<<10] {
		t.Errorf("failure %v, %d bytes", f, len(got[1].Body))
	}
}

func TestWhatIsMissingIsAnErrorOfOpen(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{dir + "/none.txt": "no file matches", dir + "/*.txt": "no file matches", dir: "it is a directory"} {
		_, err := buildSource(t, "path: "+path+"\n").Open(t.Context(), connectortest.NewHost(t))
		var e *flow.Error
		if !errors.As(err, &e) || e.Class != flow.ConfigError || e.Code != flow.CodeMissing || !strings.Contains(e.Message, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestMistakesInAFileSourceAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"{}\n": "missing-key", "path: \"a[\"\n": "bad-value", "path: \"\"\n": "bad-value", "path: a\nframing: csv\n": "bad-value",
		"path: a\nfollow: true\nframing: whole\n": "conflicting-key", "path: a\nstart: end\n": "conflicting-key",
		"path: a\nfollow: true\nstart: middle\n": "bad-value", "path: a\nmax_expansion: 0\n": "bad-value", "path: a\nfollow: yes\n": "wrong-type",
	} {
		cfg := file.Type().NewSource()
		_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { cfg.BuildSource(b) })
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: %q, want %s", text, findings, want)
		}
	}
}

func TestAPatternThatNamesWhatASinkWritesIsKnown(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Symlink(dir, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source, sink string
		want         bool
	}{
		{"*.ndjson", "out.ndjson", true}, {"in*", "out.ndjson", false}, {dir + "/*", "./out", true}, {"link/o*", "out", true},
		{"*", "link/out", true}, {"*", "sub/out", false}, {"*/out", "sub/out", true}, {"*", ".out", false}, {"out", "out", true},
	} {
		source := buildSource(t, "path: \""+c.source+"\"\n")
		sink, _ := buildSink(t, "path: "+c.sink+"\n")
		if got := source.Reads(sink.Traits.Address) || source.Traits.Address == sink.Traits.Address; got != c.want {
			t.Errorf("%s reads what %s writes: %v", c.source, c.sink, got)
		}
	}
}
