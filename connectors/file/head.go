package file

import (
	"errors"
	"io"
	"syscall"

	"github.com/millstream/millstream/flow"
)

// under sees to it that a regular file of that size begins with the header line, and gives its size then.
func (a *appender) under(head string, size int64) (int64, error) {
	switch {
	case head == "" || a.headed == head:
		return size, nil
	case size > 0:
		return size, a.compare(head)
	}
	if err := a.begin(head); err != nil {
		a.cutTo(0)
		return 0, err
	}
	return int64(len(head)) + 1, nil
}

// begin writes the header line, unless it was.
func (a *appender) begin(head string) error {
	if head == "" || a.headed == head {
		return nil
	}
	if _, err := a.file.Write(append([]byte(head), '\n')); err != nil {
		return writeError(err)
	}
	a.headed = head
	return nil
}

// compare looks whether a file begins with the header line. Rows under another one would be read as something else.
func (a *appender) compare(head string) error {
	start := make([]byte, len(head)+1)
	n, err := a.file.ReadAt(start, 0)
	switch {
	case errors.Is(err, syscall.EBADF): // it can be written and not be read
	case err != nil && !errors.Is(err, io.EOF):
		return writeError(err)
	case string(start[:n]) != head+"\n":
		return flow.Errorf(flow.ConfigError, flow.CodeRefused, "write %s: it does not begin with the header line %.200q; move it away, or name the columns under header: for rows alone",
			a.at.path(), head)
	}
	a.headed = head
	return nil
}
