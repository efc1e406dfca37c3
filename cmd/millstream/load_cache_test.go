package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/pipelines"
)

func TestOnlyWhatHasChangedIsCompiledAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "a.yaml"), "name: a\nfrom: { stdin: {} }\nto: { drop: {} }\n")
	write(t, filepath.Join(dir, "d", "b.yaml"), "name: b\ntables: { t: { file: t.csv, key: k } }\nfrom: { generate: { body: 'lookup(\"t\", \"x\")' } }\nto: { drop: {} }\n")
	write(t, filepath.Join(dir, "d", "t.csv"), "k\nx\n")
	write(t, filepath.Join(dir, "env"), "A=1\n")
	s := &streams{in: &bytes.Buffer{}, out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	running := map[*pipelines.Program]bool{}
	cached := newCompiled(func() map[*pipelines.Program]bool { return running })
	load := func() []revision.File {
		set := s.loadSet([]string{filepath.Join(dir, "d")}, &loadFlags{envFiles: []string{filepath.Join(dir, "env")}}, false, cached)
		if set.Err != nil || len(set.Files) != 2 || len(set.Read) != 4 || set.Files[0].Program == nil || set.Files[1].Program == nil || len(set.Files[1].Text) == 0 {
			t.Fatalf("%+v %v", set, set.Err)
		}
		running = map[*pipelines.Program]bool{set.Files[0].Program: true, set.Files[1].Program: true}
		return set.Files
	}
	was := load()
	for _, c := range []struct {
		name   string
		change func()
		a, b   bool // compiled again
	}{
		{"nothing", func() {}, false, false},
		{"a file", func() {
			write(t, filepath.Join(dir, "d", "a.yaml"), "name: a2\nfrom: { stdin: {} }\nto: { drop: {} }\n")
		}, true, false},
		{"a table", func() { write(t, filepath.Join(dir, "d", "t.csv"), "k\nx\ny\n") }, false, true},
		{"variables", func() { write(t, filepath.Join(dir, "env"), "A=2\n") }, true, true},
		{"a pipeline that has ended", func() { delete(running, was[1].Program) }, false, true},
		{"the time of a file alone", func() {
			if err := os.Chtimes(filepath.Join(dir, "d", "a.yaml"), time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
				t.Fatal(err)
			}
		}, false, false},
	} {
		c.change()
		now := load()
		if again := now[0].Program != was[0].Program; again != c.a {
			t.Errorf("%s: a compiled again: %t", c.name, again)
		}
		if again := now[1].Program != was[1].Program; again != c.b {
			t.Errorf("%s: b compiled again: %t", c.name, again)
		}
		was = now
	}
}
