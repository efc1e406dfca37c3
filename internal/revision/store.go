package revision

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Kept is the last text of a pipeline file that ran. It is the text as it was written: variables are in it by their names, and what they
// stand for is not.
type Kept struct {
	Format   int    `json:"format"`
	Pipeline string `json:"pipeline"`
	// Path is the pipeline file, absolute.
	Path string `json:"path"`
	Text string `json:"text"`
}

// storeFormat is the version of the file that a Kept is in.
const storeFormat = 1

// keptName cannot be a node's folder: names of nodes have no dot.
const keptName = "revision.json"

// Store remembers last good revisions in a state directory, one file in each pipeline's folder. Its methods may be called concurrently.
type Store struct {
	dir string

	mu   sync.Mutex
	kept map[string]Kept // by pipeline
}

// OpenStore reads what is kept in a state directory, which need not be there. What cannot be read is left out and told by the error; the
// store is usable all the same, since what it holds can be deleted at no price but this.
func OpenStore(dir string) (*Store, error) {
	s := &Store{dir: dir, kept: map[string]Kept{}}
	files, err := filepath.Glob(filepath.Join(quoteMeta(dir), "*", keptName))
	if err != nil {
		return s, fmt.Errorf("list last good revisions: %w", err)
	}
	var errs []error
	for _, file := range files {
		k, err := readKept(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("read last good revision %s: %w", file, err))
			continue
		}
		s.kept[k.Pipeline] = k
	}
	return s, errors.Join(errs...)
}

// quoteMeta keeps signs of a path from being read as a pattern.
func quoteMeta(path string) string {
	var quoted []rune
	for _, r := range path {
		switch r {
		case '*', '?', '[', '\\':
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, r)
	}
	return string(quoted)
}

func readKept(file string) (Kept, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Kept{}, err
	}
	var k Kept
	if err := json.Unmarshal(b, &k); err != nil {
		return Kept{}, err
	}
	if k.Format != storeFormat {
		return Kept{}, fmt.Errorf("format %d, want %d", k.Format, storeFormat)
	}
	if k.Pipeline != filepath.Base(filepath.Dir(file)) {
		return Kept{}, fmt.Errorf("it is of pipeline %q", k.Pipeline)
	}
	return k, nil
}

// ByPath finds what ran from a file, by its absolute path.
func (s *Store) ByPath(path string) (Kept, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		if k.Path == path {
			return k, true
		}
	}
	return Kept{}, false
}

// All lists what is kept, in no order.
func (s *Store) All() []Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Kept, 0, len(s.kept))
	for _, k := range s.kept {
		all = append(all, k)
	}
	return all
}

// Keep remembers the text of a pipeline. After a crash there is the old text or the new one, whole.
func (s *Store) Keep(pipeline, path, text string) error {
	k := Kept{Format: storeFormat, Pipeline: pipeline, Path: path, Text: text}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[pipeline] == k {
		return nil
	}
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep revision of %q: %w", pipeline, err)
	}
	folder := filepath.Join(s.dir, pipeline)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("keep revision of %q: %w", pipeline, err)
	}
	if err := replace(filepath.Join(folder, keptName), b); err != nil {
		return fmt.Errorf("keep revision of %q: %w", pipeline, err)
	}
	s.kept[pipeline] = k
	return nil
}

// Forget removes what is kept of a pipeline, and its folder when nothing else is in it.
func (s *Store) Forget(pipeline string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, have := s.kept[pipeline]; !have {
		return nil
	}
	folder := filepath.Join(s.dir, pipeline)
	if err := os.Remove(filepath.Join(folder, keptName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget revision of %q: %w", pipeline, err)
	}
	delete(s.kept, pipeline)
	_ = os.Remove(folder) // it may hold positions
	return nil
}

// replace puts a file in another's place as a whole, and for good.
func replace(path string, content []byte) error {
	next := path + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
