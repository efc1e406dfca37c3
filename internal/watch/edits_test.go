package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// edits is how many edits each style gets; the build tag integration raises it.
func edits() int {
	if thorough {
		return 500
	}
	return 24
}

// side is how many watchers share the edits of a style.
const side = 8

// patience is how long a change may take to be told before the watcher counts as deaf. It says nothing about how long it takes.
const patience = 20 * time.Second

// reader uses a watcher as the engine does: it reads everything, and again whenever it is told to.
type reader struct {
	t       *testing.T
	w       *Watcher
	dir     string
	extra   []string
	mu      sync.Mutex
	content map[string]string
	reads   int
	longest time.Duration
}

func isYAML(name string) bool { return strings.HasSuffix(name, ".yaml") }

// newReader watches dir, and the files extra beside it.
func newReader(t *testing.T, dir string, o Options, extra ...string) *reader {
	t.Helper()
	o.Match = isYAML
	r := &reader{t: t, dir: dir, extra: extra, w: New([]string{dir}, o)}
	r.read()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-r.w.Changes():
				r.read()
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(done); r.w.Close() })
	return r
}

func (r *reader) read() {
	sums, content := map[string]Sum{}, map[string]string{}
	take := func(path string) {
		b, err := os.ReadFile(path)
		sums[path] = Sum{}
		if err == nil {
			sums[path], content[path] = SumOf(b), string(b)
		}
	}
	entries, _ := os.ReadDir(r.dir)
	for _, e := range entries {
		if !e.IsDir() && isYAML(e.Name()) {
			take(filepath.Join(r.dir, e.Name()))
		}
	}
	for _, p := range r.extra {
		take(p)
	}
	r.mu.Lock()
	r.content = content
	r.reads++
	r.mu.Unlock()
	r.w.Took(sums)
}

func (r *reader) has(path, content string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	got, there := r.content[path]
	return got == content && there == (content != "")
}

// comes waits until what was read last is content; no content means no file.
func (r *reader) comes(path, content string) {
	r.t.Helper()
	began := time.Now()
	for !r.has(path, content) {
		if time.Since(began) > patience {
			r.t.Fatalf("%s holds %q, and what was read last is %q", path, content, r.content[path])
		}
		time.Sleep(2 * time.Millisecond)
	}
	r.longest = max(r.longest, time.Since(began))
}

// style is a way to change what is in a file. root is a folder of its own; dir the folder in it that is watched.
type style struct {
	prepare func(t *testing.T, root, dir string)
	edit    func(t *testing.T, root, dir string, n int, content string)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

func plain(t *testing.T, _, dir string) {
	must(t, os.Mkdir(dir, 0o700))
	put(t, filepath.Join(dir, "p.yaml"), "first")
}

func renamed(t *testing.T, _, dir string, n int, content string) {
	next := filepath.Join(dir, fmt.Sprintf("sed%d", n))
	put(t, next, content)
	must(t, os.Rename(next, filepath.Join(dir, "p.yaml")))
}

func truncated(t *testing.T, _, dir string, _ int, content string) {
	put(t, filepath.Join(dir, "p.yaml"), content)
}

// configMap lays dir out as Kubernetes does: p.yaml → ..data/p.yaml, ..data → ..N.
func configMap(t *testing.T, root, dir string) {
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Symlink("..data/p.yaml", filepath.Join(dir, "p.yaml")))
	swapLink(t, root, dir, -1, "first")
}

func swapLink(t *testing.T, _, dir string, n int, content string) {
	now := fmt.Sprintf("..%d", n)
	must(t, os.Mkdir(filepath.Join(dir, now), 0o700))
	put(t, filepath.Join(dir, now, "p.yaml"), content)
	must(t, os.Symlink(now, filepath.Join(dir, "..data_tmp")))
	must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	must(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..%d", n-1))))
}

func swapDirectory(t *testing.T, root, dir string, _ int, content string) {
	next, old := filepath.Join(root, "next"), filepath.Join(root, "old")
	must(t, os.Mkdir(next, 0o700))
	put(t, filepath.Join(next, "p.yaml"), content)
	must(t, os.Rename(dir, old))
	must(t, os.Rename(next, dir))
	must(t, os.RemoveAll(old))
}

var styles = map[string]style{
	"rename":    {plain, renamed},
	"truncate":  {plain, truncated},
	"symlink":   {configMap, swapLink},
	"directory": {plain, swapDirectory},
	"vim": {plain, func(t *testing.T, _, dir string, _ int, content string) {
		file := filepath.Join(dir, "p.yaml")
		put(t, filepath.Join(dir, ".p.yaml.swp"), "swap")
		must(t, os.Rename(file, file+"~"))
		put(t, file, content)
		must(t, os.Remove(file+"~"))
		must(t, os.Remove(filepath.Join(dir, ".p.yaml.swp")))
	}},
	"ten in a second": {plain, func(t *testing.T, root, dir string, n int, content string) {
		for i := range 9 {
			write := renamed
			if i%2 == 0 {
				write = truncated
			}
			write(t, root, dir, n, fmt.Sprintf("%s, before it %d", content, i))
			time.Sleep(100 * time.Millisecond)
		}
		truncated(t, root, dir, n, content)
	}},
}

func TestNoEditIsMissedInAnyStyle(t *testing.T) {
	for name, s := range styles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range side {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					t.Parallel()
					root := t.TempDir()
					dir := filepath.Join(root, "pipelines")
					s.prepare(t, root, dir)
					r := newReader(t, dir, Options{})
					file := filepath.Join(dir, "p.yaml")
					for n := range (edits() + side - 1) / side {
						content := fmt.Sprintf("edit %06d", n) // always of one size
						s.edit(t, root, dir, n, content)
						r.comes(file, content)
					}
					t.Logf("%d edits, the slowest was read after %s", (edits()+side-1)/side, r.longest)
				})
			}
		})
	}
}

// One way of looking alone must do, whatever the other is good for.
func TestEventsAloneAreEnough(t *testing.T) {
	oneWay(t, Options{Poll: time.Hour})
}

func TestAFileSystemWithoutEventsIsWatchedToo(t *testing.T) {
	oneWay(t, Options{NoEvents: true, Poll: 20 * time.Millisecond})
}

func oneWay(t *testing.T, o Options) {
	for name, s := range styles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "pipelines")
			s.prepare(t, root, dir)
			r := newReader(t, dir, o)
			for n := range 5 {
				content := fmt.Sprintf("edit %06d", n)
				s.edit(t, root, dir, n, content)
				r.comes(filepath.Join(dir, "p.yaml"), content)
			}
		})
	}
}
