package faults

import (
	"bytes"
	"os"
	"path/filepath"
)

// FileRoute goes from one file to another.
type FileRoute struct{ Dir string }

// Feed appends messages.
func (f *FileRoute) Feed(payloads [][]byte, _ []string) error {
	out, err := os.OpenFile(filepath.Join(f.Dir, "in.ndjson"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, p := range payloads {
		if _, err := out.Write(append(p, '\n')); err != nil {
			return err
		}
	}
	return out.Close()
}

// Received gives all whole lines to take. A last line without its end is what a kill tore; it counts as corrupt once the process has cut it off
// only if it is still there.
func (f *FileRoute) Received(take func([]byte)) error {
	b, err := os.ReadFile(filepath.Join(f.Dir, "out.ndjson"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		if whole {
			take(line)
		}
		b = rest
	}
	return nil
}
