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

	"github.com/millstream/millstream/flow"
)

// wholeWriter writes messages that are files of their own.
type wholeWriter struct {
	// hidden is the name of a file that is being written; no other sink that may write into the same directory has it.
	hidden string
	mu     sync.Mutex // one file at a time: two messages may have one name
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
	dir := filepath.Dir(at.rel)
	if err := root.MkdirAll(dir, dirMode); err != nil {
		return openError(err, flow.Permanent)
	}
	if same, err := isThere(root, at, body); same || err != nil {
		return err
	}
	hidden := filepath.Join(dir, w.hidden)
	if err := writeHidden(root, hidden, body, sync); err != nil {
		_ = root.Remove(hidden)
		return err
	}
	if err := root.Rename(hidden, at.rel); err != nil {
		_ = root.Remove(hidden)
		return openError(err, flow.Permanent)
	}
	if sync == syncNone {
		return nil
	}
	if err := at.syncDirs(); err != nil {
		return writeError(err)
	}
	return nil
}

func isThere(root *os.Root, at location, body []byte) (same bool, err error) {
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
	return true, nil
}

func writeHidden(root *os.Root, name string, body []byte, sync string) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return openError(err, flow.Permanent)
	}
	_, err = f.Write(body)
	if err == nil && sync != syncNone {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return writeError(fmt.Errorf("write %s: %w", f.Name(), err))
	}
	return nil
}
