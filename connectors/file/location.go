package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/millstream/millstream/flow"
)

const (
	// fileMode and dirMode are for what a sink makes: others than its user and group see nothing.
	fileMode = 0o640
	dirMode  = 0o750
)

// handle is an open file as an appender uses it.
type handle interface {
	io.Writer
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// place is where an appender finds its file.
type place interface {
	path() string
	// open opens the file, made with the directories above it when it is not there, and locks it. created tells that it was not there.
	open(flags int) (h handle, created bool, err error)
	// named tells whether the path still is that of the open file.
	named(h handle) bool
	// rename gives the file another name in its directory, which nothing has.
	rename(name string) error
	taken(name string) bool
	// syncDirs makes names last.
	syncDirs() error
}

// location is where a file is. What a message had a say in is opened below a directory that the pipeline file names, and neither .. nor
// a symbolic link leads out of it.
type location struct {
	base, rel string
	guarded   bool
}

func (l location) path() string { return filepath.Join(l.base, l.rel) }

// identity is the name that all paths of the file have in common. Whoever has the file open is known by it, so a link is refused here, too:
// it is the name of a file that a message must not lead to.
func (l location) identity() (string, error) {
	whole, err := resolve(l.path())
	if err != nil || !l.guarded {
		return whole, err
	}
	base, err := resolve(l.base)
	if err != nil {
		return "", err
	}
	dir, err := resolve(filepath.Dir(l.path()))
	if err != nil {
		return "", err
	}
	if whole != filepath.Join(dir, filepath.Base(l.rel)) || dir != base && !strings.HasPrefix(dir, strings.TrimSuffix(base, "/")+"/") {
		return "", invalid(l.path(), "a symbolic link stands in it")
	}
	return whole, nil
}

// directory is what can be done in a directory by names; an os.Root can.
type directory interface {
	OpenFile(name string, flags int, mode os.FileMode) (*os.File, error)
	Lstat(name string) (os.FileInfo, error)
	MkdirAll(name string, mode os.FileMode) error
	Rename(from, to string) error
}

// plain is a directory that its names may lead out of.
type plain struct{ dir string }

func (p plain) OpenFile(name string, flags int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(filepath.Join(p.dir, name), flags, mode)
}
func (p plain) Lstat(name string) (os.FileInfo, error) { return os.Lstat(filepath.Join(p.dir, name)) }
func (p plain) MkdirAll(name string, mode os.FileMode) error {
	return os.MkdirAll(filepath.Join(p.dir, name), mode)
}
func (p plain) Rename(from, to string) error {
	return os.Rename(filepath.Join(p.dir, from), filepath.Join(p.dir, to))
}

// within calls do with the directory that the location is in.
func (l location) within(do func(d directory) error) error {
	if !l.guarded {
		return do(plain{l.base})
	}
	root, err := os.OpenRoot(l.base)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return do(root)
}

func (l location) open(flags int) (h handle, created bool, err error) {
	if err := makeDirs(l.base); err != nil {
		return nil, false, err
	}
	var f *os.File
	err = l.within(func(d directory) error {
		if l.guarded {
			if err := d.MkdirAll(filepath.Dir(l.rel), dirMode); err != nil {
				return err
			}
			if err := l.refuse(d); err != nil {
				return err
			}
		}
		if f, err = d.OpenFile(l.rel, flags|os.O_CREATE|os.O_EXCL, fileMode); err == nil {
			created = true
			return nil
		}
		f, err = d.OpenFile(l.rel, flags|os.O_CREATE, fileMode)
		return err
	})
	if err == nil {
		err = l.lock(f)
	}
	if err != nil {
		return nil, false, err
	}
	return f, created, nil
}

// makeDirs makes a directory and those above it, and sees to it that their names last.
func makeDirs(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(dir)
	if err := makeDirs(above); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(above)
}

// refuse keeps messages away from what is no regular file: a symbolic link, a device, a pipe.
func (l location) refuse(d directory) error {
	info, err := d.Lstat(l.rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: l.path(), Err: errors.New("it is no regular file")}
	}
	return err
}

// lock takes a file that has lines for this process alone, since two that write into one file would cut what the other is writing. It
// closes the file when it cannot.
func (l location) lock(f *os.File) error {
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.EOPNOTSUPP) {
			err = nil // a file system without locks
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = flow.Errorf(flow.Transient, flow.CodeUnavailable, "the file %s is in use: another process writes to it", l.path())
		}
	}
	if err != nil {
		_ = f.Close()
	}
	return err
}

func (l location) named(h handle) bool {
	mine, err := h.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(l.path())
	return err == nil && os.SameFile(mine, named)
}

func (l location) rename(name string) error {
	return l.within(func(d directory) error { return d.Rename(l.rel, filepath.Join(filepath.Dir(l.rel), name)) })
}

func (l location) taken(name string) bool {
	err := l.within(func(d directory) error {
		_, err := d.Lstat(filepath.Join(filepath.Dir(l.rel), name))
		return err
	})
	return !errors.Is(err, fs.ErrNotExist)
}

// syncDirs syncs the directories from the file's own up to base.
func (l location) syncDirs() error {
	for dir := filepath.Dir(l.rel); ; dir = filepath.Dir(dir) {
		if err := syncDir(filepath.Join(l.base, dir)); err != nil || dir == "." {
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
	for element := range strings.SplitSeq(l.rel, string(filepath.Separator)) {
		if why := badName(element); why != "" {
			return l, invalid(path, why)
		}
	}
	return l, nil
}

// maxName is the longest name that a message may give. Common file systems take 255 bytes, and rotation adds some.
const maxName = 200

// badName tells what is wrong with a name that a message gives; such names have no surprises on any system.
func badName(name string) string {
	switch {
	case name == "":
		return "a name in it is empty"
	case name == "." || name == "..":
		return fmt.Sprintf("%q is no name", name)
	case name[0] == '.':
		return "a name in it begins with a dot"
	case len(name) > maxName:
		return fmt.Sprintf("a name in it has more than %d bytes", maxName)
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return fmt.Sprintf("names have letters A to Z, digits, and . _ - alone, not %q; slug() and hashID() make such names", c)
		}
	}
	return ""
}

func invalid(path, why string) error {
	const most = 200
	if len(path) > most {
		path = path[:most] + "…"
	}
	return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the path %q cannot be written: %s", path, why)
}
