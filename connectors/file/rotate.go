package file

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/millstream/millstream/flow"
)

// rotation is when a file is put aside; zero fields are never.
type rotation struct {
	size  int64
	every time.Duration
}

// due tells whether the file is to be put aside before a line of so many bytes is written, with its end.
func (r rotation) due(size int64, last, now time.Time, line int) bool {
	if size == 0 {
		return false
	}
	return r.size > 0 && size+int64(line) > r.size || r.every > 0 && now.Truncate(r.every).After(last.Truncate(r.every))
}

// fitting is how many of the messages may be written into a file of that size: the first one always.
func (r rotation) fitting(outs []*flow.Outgoing, size int64) int {
	if r.size == 0 {
		return len(outs)
	}
	for i, o := range outs {
		if size += int64(len(o.Body)) + 1; size > r.size && i > 0 {
			return i
		}
	}
	return len(outs)
}

// putAside renames the file, so that the next write begins a new one. Its lines are whole and, unless nothing is synced, on the disk.
func (a *appender) putAside(sync string, log *slog.Logger) error {
	if sync != syncNone {
		if err := a.file.Sync(); err != nil {
			return writeError(err)
		}
	}
	name := a.freeName()
	if err := a.at.rename(name); err != nil {
		return writeError(fmt.Errorf("rotate %s: %w", a.at.path(), err))
	}
	log.Debug("rotated a file", "path", a.at.path(), "to", name)
	a.close()
	a.lasting = false // the next file's name and this one's new name last together
	return nil
}

// freeName is the name that the file gets: its own, the time in UTC, and a number for those of one second. Sorted by name, they are sorted
// by age.
func (a *appender) freeName() string {
	stem := filepath.Base(a.at.path()) + "." + a.now().UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s-%04d", stem, n); !a.at.taken(name) {
			return name
		}
	}
}
