package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millstream/millstream/flow"
)

// find lists the files of a pattern. A name that exists as it stands is no pattern.
func find(pattern string) ([]string, error) {
	if info, err := os.Stat(pattern); err == nil {
		if info.IsDir() {
			return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "open %s: it is a directory; write %s for the files in it", pattern, filepath.Join(pattern, "*"))
		}
		return []string{pattern}, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, openError(err, flow.ConfigError)
	}
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "open %s: %w", pattern, err)
	}
	matches = slices.DeleteFunc(matches, func(path string) bool {
		info, err := os.Stat(path)
		return hidden(path) && !hidden(pattern) || err == nil && info.IsDir()
	})
	if len(matches) == 0 {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "open %s: no file matches", pattern)
	}
	slices.Sort(matches)
	return matches, nil
}

func hidden(path string) bool { return strings.HasPrefix(filepath.Base(path), ".") }

// found is a regular file that a pattern names.
type found struct {
	path string
	info os.FileInfo
}

// look lists the files of a pattern as they are now. Several names of one file count once; what is gone by now is left out.
func look(pattern string) ([]found, error) {
	paths, err := find(pattern)
	if e := (*flow.Error)(nil); errors.As(err, &e) && e.Code == flow.CodeMissing {
		err = nil // not there yet, or a directory
	}
	if err != nil {
		return nil, err
	}
	var all []found
	known := map[identity]bool{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || known[identityOf(info)] {
			continue
		}
		known[identityOf(info)] = true
		all = append(all, found{path: path, info: info})
	}
	return all, nil
}

// beside looks for a file that was renamed within its directory.
func beside(path string, id identity) (string, bool) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", false
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && identityOf(info) == id {
			return filepath.Join(dir, e.Name()), true
		}
	}
	return "", false
}
