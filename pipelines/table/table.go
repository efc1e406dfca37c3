package table

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/internal/textfile"
)

// Table is the rows of a file. It is safe for concurrent use; a row is never changed, but may be replaced by Refresh.
type Table struct {
	spec Spec
	rows atomic.Pointer[map[string]any]
}

// Open reads the file of a table. text is what it holds, for showing lines of it; nil when it cannot be read. With problems the table
// is not to be used.
func Open(s Spec) (t *Table, text []byte, problems []Problem) {
	t = &Table{spec: s}
	text, err := textfile.Read(s.File, MaxFile)
	if err != nil {
		return t, nil, []Problem{{About: AboutFile, Message: err.Error()}}
	}
	rows, problems := Parse(text, &s)
	t.rows.Store(&rows)
	return t, text, problems
}

// Lookup gives the row with a key, a map[string]any of what value.Value.Box gives. It is shared and must not be changed.
func (t *Table) Lookup(key string) (row any, ok bool) {
	row, ok = (*t.rows.Load())[key]
	return row, ok
}

// Len is the number of rows.
func (t *Table) Len() int { return len(*t.rows.Load()) }

// Reload reads the file again. When that fails, the rows stay as they are; the error names the file, and the first place in it.
func (t *Table) Reload() error {
	text, err := textfile.Read(t.spec.File, MaxFile)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.spec.File, err)
	}
	rows, problems := Parse(text, &t.spec)
	if len(problems) == 0 {
		t.rows.Store(&rows)
		return nil
	}
	first := problems[0]
	place := t.spec.File
	if first.About == AboutRow {
		place = fmt.Sprintf("%s:%d:%d", place, first.Line, first.Col)
	}
	if more := len(problems) - 1; more > 0 {
		return fmt.Errorf("%s: %s, and %d more", place, first.Message, more)
	}
	return fmt.Errorf("%s: %s", place, first.Message)
}

// Refresh reloads the table every so often until ctx ends. What fails is logged and tried again after the same time.
func (t *Table) Refresh(ctx context.Context, every time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := t.Reload(); err != nil {
			log.Error("table not refreshed; its old rows stay", "error", err)
			continue
		}
		log.Debug("table refreshed", "rows", t.Len())
	}
}
