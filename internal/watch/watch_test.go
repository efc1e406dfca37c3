package watch

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets tests run side by side whatever the number of cores: they wait most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "64"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestFilesComeAndGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newReader(t, dir, Options{})
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	put(t, a, "a")
	r.comes(a, "a")
	must(t, os.Rename(a, b))
	r.comes(b, "a")
	r.comes(a, "")
	must(t, os.Remove(b))
	r.comes(b, "")
}

func TestADirectoryThatGoesAndComesBackIsWatchedOn(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"both ways": {}, "events": {Poll: time.Hour}, "looking": {NoEvents: true, Poll: 20 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := filepath.Join(t.TempDir(), "parent")
			dir := filepath.Join(parent, "pipelines")
			file := filepath.Join(dir, "p.yaml")
			must(t, os.MkdirAll(dir, 0o700))
			put(t, file, "one")
			r := newReader(t, dir, o)
			must(t, os.RemoveAll(dir))
			r.comes(file, "")
			must(t, os.MkdirAll(dir, 0o700))
			put(t, file, "two")
			r.comes(file, "two")
			must(t, os.Rename(dir, dir+"-away"))
			r.comes(file, "")
			must(t, os.Rename(dir+"-away", dir))
			r.comes(file, "two")
			put(t, file, "three")
			r.comes(file, "three")
		})
	}
}

func TestTheParentOfADirectoryIsReplaced(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, "parent", "pipelines", "p.yaml")
	must(t, os.MkdirAll(filepath.Dir(file), 0o700))
	put(t, file, "one")
	r := newReader(t, filepath.Dir(file), Options{})
	must(t, os.Rename(filepath.Join(root, "parent"), filepath.Join(root, "old")))
	must(t, os.MkdirAll(filepath.Dir(file), 0o700))
	put(t, file, "two")
	r.comes(file, "two")
	put(t, filepath.Join(root, "old", "pipelines", "p.yaml"), "not this one")
	put(t, file, "three")
	r.comes(file, "three")
}

func TestFilesBesideTheDirectoryAreWatched(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	table := filepath.Join(other, "below", "countries.csv") // neither it nor its directory is there
	link, target := filepath.Join(other, "link.json"), filepath.Join(other, "target")
	must(t, os.Symlink(target, link))
	r := newReader(t, dir, Options{}, table, link)
	must(t, os.Mkdir(filepath.Dir(table), 0o700))
	put(t, table, "code,name")
	r.comes(table, "code,name")
	put(t, target, "{}")
	r.comes(link, "{}")
	put(t, target, "{ }")
	r.comes(link, "{ }")
}

func TestASingleFileIsWatched(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"events": {Poll: time.Hour}, "looking": {NoEvents: true, Poll: 20 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "p.txt")
			put(t, file, "0")
			w := New([]string{file}, o)
			defer w.Close()
			w.Took(map[string]Sum{file: SumOf([]byte("0"))})
			for i, edit := range []func(t *testing.T, path, content string){
				put,
				func(t *testing.T, path, content string) {
					put(t, path+"~", content)
					must(t, os.Rename(path+"~", path))
				},
				func(t *testing.T, path, content string) { must(t, os.Remove(path)); put(t, path, content) },
				func(t *testing.T, path, content string) {
					put(t, path+".target", content)
					must(t, os.Remove(path))
					must(t, os.Symlink(path+".target", path))
				},
				func(t *testing.T, path, content string) { put(t, path+".target", content) },
			} {
				content := string(rune('1' + i))
				edit(t, file, content)
				select {
				case <-w.Changes():
				case <-time.After(patience):
					t.Fatalf("edit %d is not told", i)
				}
				w.Took(map[string]Sum{file: SumOf([]byte(content))})
			}
		})
	}
}

func TestWhatChangesNothingIsNotTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	put(t, file, "one")
	r := newReader(t, dir, Options{Quiet: 10 * time.Millisecond})
	before := r.reads
	put(t, file, "one")
	put(t, filepath.Join(dir, "out.ndjson"), "grows")
	must(t, os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700))
	put(t, filepath.Join(dir, ".hidden.yaml"), "x")
	must(t, os.Chtimes(file, time.Now(), time.Now()))
	time.Sleep(1500 * time.Millisecond) // longer than events and looks take
	put(t, file, "two")
	r.comes(file, "two")
	if r.reads != before+1 {
		t.Errorf("read %d times, want once", r.reads-before)
	}
}

func TestAChangeWhileTheFilesAreReadIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	put(t, file, "B")
	w := New([]string{dir}, Options{Match: isYAML})
	defer w.Close()
	// The user has read A, which was there before; nothing happens in the file system any more.
	w.Took(map[string]Sum{file: SumOf([]byte("A"))})
	<-w.Changes()
	// It is told B, reads C, which was there for a moment, and again B is there.
	w.Took(map[string]Sum{file: SumOf([]byte("C"))})
	<-w.Changes()
	w.Took(map[string]Sum{file: SumOf([]byte("B"))})
	select {
	case <-w.Changes():
		t.Error("told though nothing differs")
	case <-time.After(1500 * time.Millisecond):
	}
}

func TestASameSizedChangeWithAnOldTimeIsFoundByLooking(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	put(t, file, "one")
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(file, old, old))
	r := newReader(t, dir, Options{NoEvents: true, Poll: 10 * time.Millisecond})
	time.Sleep(100 * time.Millisecond)
	put(t, file, "two")
	must(t, os.Chtimes(file, old, old))
	r.comes(file, "two")
}

func BenchmarkLookAt500Files(b *testing.B) {
	dir := b.TempDir()
	files := map[string]Sum{}
	for i := range 500 {
		path := filepath.Join(dir, string(rune('a'+i%26))+time.Duration(i).String()+".yaml")
		if err := os.WriteFile(path, make([]byte, 2000), 0o600); err != nil {
			b.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			b.Fatal(err)
		}
		files[path] = Sum{}
	}
	for name, whole := range map[string]bool{"by size and time": false, "by content": true} {
		b.Run(name, func(b *testing.B) {
			l := newLooker(isYAML)
			l.look([]string{dir}, files)
			for b.Loop() {
				if whole {
					l.distrust()
				}
				l.look([]string{dir}, files)
			}
		})
	}
}
