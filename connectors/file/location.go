package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/millstream/millstream/flow"
)

// location is where a file is. What a message had a say in is opened below a directory that the pipeline file names, and neither .. nor
// a symbolic link leads out of it.
type location struct {
	base, rel string
	guarded   bool
}

func (l location) path() string { return filepath.Join(l.base, l.rel) }

// open opens the file and makes the directories above it. created tells that it was not there.
func (l location) open(flags int) (f *os.File, created bool, err error) {
	if err := os.MkdirAll(l.base, 0o777); err != nil { //nolint:gosec // as wide as the process's umask
		return nil, false, err
	}
	openFile := func(flags int) (*os.File, error) { return os.OpenFile(l.path(), flags, 0o666) } //nolint:gosec // likewise
	if l.guarded {
		root, err := os.OpenRoot(l.base)
		if err != nil {
			return nil, false, err
		}
		defer func() { _ = root.Close() }()
		if err := root.MkdirAll(filepath.Dir(l.rel), 0o777); err != nil {
			return nil, false, err
		}
		openFile = func(flags int) (*os.File, error) { return root.OpenFile(l.rel, flags, 0o666) }
	}
	if f, err = openFile(flags | os.O_CREATE | os.O_EXCL); err == nil {
		return f, true, nil
	}
	f, err = openFile(flags | os.O_CREATE)
	return f, false, err
}

// syncDirs makes a new file's name last: the directories from its own up to base are synced.
func (l location) syncDirs() error {
	for dir := filepath.Dir(l.rel); ; dir = filepath.Dir(dir) {
		d, err := os.Open(filepath.Join(l.base, dir))
		if err != nil {
			return err
		}
		err = d.Sync()
		_ = d.Close()
		if err != nil || dir == "." {
			return err
		}
	}
}

// constantLocation is the place of a path that the pipeline file gives alone.
func constantLocation(path string) location {
	return location{base: filepath.Dir(path), rel: filepath.Base(path)}
}

// renderedLocation checks a path that holds parts of a message. Its first literal bytes are the file's own.
func renderedLocation(path string, literal int) (location, error) {
	cut := strings.LastIndexByte(path[:literal], filepath.Separator) + 1
	l := location{base: filepath.Clean(path[:cut]), rel: path[cut:], guarded: true}
	if cut == 0 {
		l.base = "."
	}
	if strings.IndexByte(path, 0) >= 0 {
		return l, invalid(path, "it holds a NUL byte")
	}
	for element := range strings.SplitSeq(l.rel, string(filepath.Separator)) {
		switch {
		case element == "":
			return l, invalid(path, "a name in it is empty")
		case element == "." || element == "..":
			return l, invalid(path, fmt.Sprintf("%q is no name", element))
		case len(element) > maxName:
			return l, invalid(path, fmt.Sprintf("a name in it has more than %d bytes", maxName))
		}
	}
	return l, nil
}

// maxName is the longest name that common file systems take.
const maxName = 255

func invalid(path, why string) error {
	const most = 200
	if len(path) > most {
		path = path[:most] + "…"
	}
	return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the path %q cannot be written: %s", path, why)
}
