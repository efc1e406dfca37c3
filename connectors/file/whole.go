package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/millstream/millstream/flow"
)

// wholeWriter writes messages that are files of their own.
type wholeWriter struct {
	// hidden is the name of a file that is being written. Who writes it holds its lock: an old and a new revision, or two processes with one
	// instance name, may meet there.
	hidden string
	// lasting makes the names of a location last.
	lasting func(at location) error

	mu sync.Mutex // one file at a time
}

// write writes a file that is not there yet. It appears under its name when all of it is written. A file that has the same content
// already is what a record that comes again finds; one with other content is not overwritten.
func (w *wholeWriter) write(at location, body []byte, sync string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := makeDirs(at.base); err != nil {
		return openError(err, flow.ConfigError)
	}
	root, err := os.OpenRoot(at.base)
	if err != nil {
		return openError(err, flow.ConfigError)
	}
	defer func() { _ = root.Close() }()
	if err := root.MkdirAll(filepath.Dir(at.rel), dirMode); err != nil {
		return openError(err, flow.Permanent)
	}
	same, err := isThere(root, at, body, sync)
	if err == nil && !same {
		err = w.place(root, at, body, sync)
	}
	if err != nil || sync == syncNone {
		return err
	}
	if err := w.lasting(at); err != nil {
		return writeError(err)
	}
	return nil
}

// place writes the hidden file and gives it its name, unless somebody else has made a file of that name meanwhile.
func (w *wholeWriter) place(root *os.Root, at location, body []byte, sync string) error {
	hidden := filepath.Join(filepath.Dir(at.rel), w.hidden)
	f, err := openHidden(root, hidden)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // which lets go of the lock
	err = fill(f, body, sync)
	if err == nil {
		if err = renameNew(root, hidden, at.rel); err == nil {
			return nil
		}
		if errors.Is(err, fs.ErrExist) {
			_, err = isThere(root, at, body, sync)
		} else {
			err = openError(err, flow.Permanent)
		}
	}
	_ = root.Remove(hidden)
	return err
}

// openHidden opens a hidden file that nobody else is writing.
func openHidden(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE, fileMode)
	if err != nil {
		return nil, openError(err, flow.Permanent)
	}
	if err := (location{base: root.Name(), rel: name}).lock(f); err != nil {
		return nil, openError(err, flow.Permanent)
	}
	mine, err := f.Stat()
	if err == nil {
		var named os.FileInfo
		if named, err = root.Lstat(name); err == nil && !os.SameFile(mine, named) {
			err = fs.ErrNotExist
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	return nil, writeError(fmt.Errorf("write %s: %w: somebody else writes there", name, err)) // who has just given it its real name
}

// fill makes body the content of a file.
func fill(f *os.File, body []byte, sync string) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.Write(body)
	}
	if err == nil && sync != syncNone {
		err = f.Sync()
	}
	if err != nil {
		return writeError(fmt.Errorf("write %s: %w", f.Name(), err))
	}
	return nil
}

// renameNew renames a file within its directory to a name that nothing has.
func renameNew(root *os.Root, from, to string) error {
	dir, err := root.Open(filepath.Dir(from))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	fd := int(dir.Fd())
	err = unix.Renameat2(fd, filepath.Base(from), fd, filepath.Base(to), unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return root.Rename(from, to) // a file system that cannot tell; that the name was free has been looked at
	}
	if err != nil {
		return &os.PathError{Op: "rename to", Path: to, Err: err}
	}
	return nil
}

// isThere tells whether a file is there with that content, and then makes the content last, for whoever wrote it may not have come to that.
func isThere(root *os.Root, at location, body []byte, sync string) (same bool, err error) {
	if err := at.refuse(root); err != nil { // opening a pipe would wait
		return false, openError(err, flow.Permanent)
	}
	f, err := root.Open(at.rel)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, openError(err, flow.Permanent)
	}
	defer func() { _ = f.Close() }()
	there, err := io.ReadAll(io.LimitReader(f, int64(len(body))+1))
	if err != nil {
		return false, writeError(err)
	}
	if !bytes.Equal(there, body) {
		return false, flow.Errorf(flow.Permanent, flow.CodeRefused, "the file %s is there already, with other content", at.path())
	}
	if sync != syncNone {
		if err := f.Sync(); err != nil {
			return false, writeError(err)
		}
	}
	return true, nil
}
