package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Lines is a file of lines, as a pipeline's source or sink.
type Lines struct {
	arrived
	// Options are options of the source, as in `follow: true`.
	Options string

	dir, name string
	at        int64 // what was read of it
	cancel    context.CancelFunc
	done      chan struct{}
}

// NewLines names a file in the directory that the pipeline runs in.
func NewLines(dir, name string) *Lines { return &Lines{dir: dir, name: name, Options: "follow: true"} }

// Source implements Inlet.
func (l *Lines) Source() string { return fmt.Sprintf("{ file: { path: %s, %s } }", l.name, l.Options) }

// Sink implements Outlet.
func (l *Lines) Sink() string { return fmt.Sprintf("{ file: { path: %s, sync: none } }", l.name) }

// Feed implements Inlet.
func (l *Lines) Feed(_ context.Context, payloads [][]byte, _ []string) error {
	f, err := os.OpenFile(filepath.Join(l.dir, l.name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(bytes.Join(payloads, []byte{'\n'}), '\n'))
	return errors.Join(err, f.Close())
}

// Collect implements Outlet.
func (l *Lines) Collect() error {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go func() {
		defer close(l.done)
		poll(ctx, l.read)
	}()
	return nil
}

// read takes the whole lines that have come. The sink cuts off what a kill has torn before it writes on, so that a line without an end is
// looked at again.
func (l *Lines) read() {
	f, err := os.Open(filepath.Join(l.dir, l.name))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		l.add([]byte("unreadable: "+err.Error()), time.Time{})
		return
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, _ := io.ReadAll(io.NewSectionReader(f, l.at, 1<<40))
	whole := bytes.LastIndexByte(b, '\n') + 1
	now := time.Now()
	for line := range bytes.Lines(b[:whole]) {
		l.add(bytes.Clone(bytes.TrimSuffix(line, []byte{'\n'})), now)
	}
	l.at += int64(whole)
}

// Torn tells whether the file ends in the middle of a line.
func (l *Lines) Torn() bool {
	info, err := os.Stat(filepath.Join(l.dir, l.name))
	return err == nil && info.Size() != l.at
}

// Close implements Inlet and Outlet.
func (l *Lines) Close() {
	if l.cancel != nil {
		l.cancel()
		<-l.done
	}
}
