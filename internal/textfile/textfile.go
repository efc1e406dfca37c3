// Package textfile reads the files that pipeline files name: whole, of bounded size, and never a device or a pipe, which could be without
// an end.
package textfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Read reads a regular file of at most so many bytes. The error does not name the path.
func Read(path string, most int64) ([]byte, error) {
	return read(os.Stat, os.Open, path, most)
}

// ReadIn is Read for a file inside a directory: no link and no .. leads out of it.
func ReadIn(dir *os.Root, name string, most int64) ([]byte, error) {
	return read(dir.Stat, dir.Open, name, most)
}

func read(stat func(string) (os.FileInfo, error), open func(string) (*os.File, error), path string, most int64) ([]byte, error) {
	info, err := stat(path)
	switch {
	case err != nil:
		return nil, reason(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	f, err := open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, reason(err)
	case int64(len(text)) > most:
		return nil, fmt.Errorf("it has more than %d bytes", most)
	}
	return text, nil
}

func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
