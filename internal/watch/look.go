package watch

import (
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Sum stands for the content of a file; the zero Sum for a file that is not there or cannot be read.
type Sum [sha256.Size]byte

// SumOf is the sum of a content.
func SumOf(content []byte) Sum { return sha256.Sum256(content) }

// looker finds out what files hold, and reads them only when it must.
type looker struct {
	match func(name string) bool
	known map[string]*known
	// whole: do not trust sizes and times.
	whole bool
}

// known is what was found in a file.
type known struct {
	info fs.FileInfo
	read time.Time
	sum  Sum
}

func newLooker(match func(name string) bool) *looker {
	return &looker{match: match, known: map[string]*known{}}
}

// distrust makes the next look read everything.
func (l *looker) distrust() { l.whole = true }

// look returns the sums of what is at paths, and of the files given.
func (l *looker) look(paths []string, files map[string]Sum) map[string]Sum {
	now := make(map[string]Sum, len(files)+len(paths))
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil || !info.IsDir() {
			now[p] = Sum{}
			if err == nil {
				now[p] = l.sum(p)
			}
			continue
		}
		entries, _ := os.ReadDir(p) // as far as it can be read
		for _, e := range entries {
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && l.match(e.Name()) {
				name := filepath.Join(p, e.Name())
				now[name] = l.sum(name)
			}
		}
	}
	for p := range files {
		if _, have := now[p]; !have {
			now[p] = l.sum(p)
		}
	}
	for p := range l.known {
		if _, used := now[p]; !used {
			delete(l.known, p)
		}
	}
	l.whole = false
	return now
}

// settled is how old a change must be when a file is read, so that a later change cannot have the same time.
const settled = 2 * time.Second

func (l *looker) sum(path string) Sum {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		delete(l.known, path)
		return Sum{}
	}
	k := l.known[path]
	if k != nil && !l.whole && os.SameFile(k.info, info) && k.info.Size() == info.Size() && k.info.ModTime().Equal(info.ModTime()) &&
		k.read.Sub(info.ModTime()) > settled {
		return k.sum
	}
	k = &known{info: info, read: time.Now()}
	if k.sum, err = read(path); err != nil {
		delete(l.known, path)
		return Sum{}
	}
	l.known[path] = k
	return k.sum
}

// SumFile is the sum of what a file holds now.
func SumFile(path string) Sum {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return Sum{}
	}
	sum, err := read(path)
	if err != nil {
		return Sum{}
	}
	return sum
}

func read(path string) (Sum, error) {
	f, err := os.Open(path)
	if err != nil {
		return Sum{}, err
	}
	defer f.Close() //nolint:errcheck // read only
	h := sha256.New()
	// The file's own way to be copied takes far more memory than most pipelines have text.
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 8<<10)); err != nil {
		return Sum{}, err
	}
	return Sum(h.Sum(nil)), nil
}
