package file

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"github.com/millstream/millstream/flow"
)

// appender appends lines to one file. All sinks of an engine that write to the file share one, so that nobody cuts what another one is
// writing.
type appender struct {
	at   location
	name flow.Class // of an error about the name

	mu      sync.Mutex
	file    *os.File
	regular bool
	// intact: the file is known to end with a whole line.
	intact bool
	buf    []byte
}

// maxKept is the largest buffer that is kept for the next batch.
const maxKept = 4 << 20

// append writes outs and sets their errors. every syncs after each line, otherwise sync says whether to sync once.
func (a *appender) append(outs []*flow.Outgoing, sync string, log *slog.Logger) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if sync != syncEvery {
		a.appendRun(outs, sync, log)
		return
	}
	for i := range outs {
		if a.appendRun(outs[i:i+1], sync, log); outs[i].Err != nil {
			fail(outs[i:], outs[i].Err) // the order stays: nothing overtakes what has failed
			return
		}
	}
}

func (a *appender) appendRun(outs []*flow.Outgoing, sync string, log *slog.Logger) {
	if err := a.ready(sync, log); err != nil {
		fail(outs, err)
		return
	}
	a.buf = a.buf[:0]
	for _, o := range outs {
		a.buf = append(append(a.buf, o.Body...), '\n')
	}
	start, err := a.size()
	if err != nil {
		fail(outs, writeError(err))
		return
	}
	n, err := a.file.Write(a.buf)
	if cap(a.buf) > maxKept {
		a.buf = nil
	}
	written := outs
	if err != nil {
		var end int
		written, end = wholeLines(outs, n)
		fail(outs[len(written):], writeError(err))
		a.cutTo(start + int64(end))
	}
	if err := a.sync(sync); err != nil {
		// What was written may or may not be on the disk. It is taken back, so that it is there once when it comes again.
		fail(outs, writeError(err))
		a.cutTo(start)
		a.close()
		return
	}
	for _, o := range written {
		o.Err = nil
	}
}

// wholeLines are the messages whose lines end within the first n bytes, and where the last of them ends.
func wholeLines(outs []*flow.Outgoing, n int) (whole []*flow.Outgoing, end int) {
	for i, o := range outs {
		next := end + len(o.Body) + 1
		if next > n {
			return outs[:i], end
		}
		end = next
	}
	return outs, end
}

func (a *appender) size() (int64, error) {
	if !a.regular {
		return 0, nil
	}
	info, err := a.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// cutTo takes back what stands behind size. When that fails, the file is looked through before the next write.
func (a *appender) cutTo(size int64) {
	if !a.regular {
		return
	}
	if info, err := a.file.Stat(); err == nil && info.Size() <= size {
		return
	}
	if a.file.Truncate(size) != nil {
		a.intact = false
	}
}

func (a *appender) sync(mode string) error {
	if mode == syncNone || !a.regular {
		return nil
	}
	return a.file.Sync()
}

// ready opens the file when it is not open, or is not the one that has the name any more (it was removed, or moved away by a log
// rotation), and sees to it that it ends with a whole line.
func (a *appender) ready(sync string, log *slog.Logger) error {
	if a.file != nil && a.regular && !a.current() {
		a.close()
	}
	if a.file == nil {
		if err := a.open(sync); err != nil {
			return err
		}
	}
	if a.intact || !a.regular {
		return nil
	}
	if err := a.cutTorn(log); err != nil {
		return writeError(err)
	}
	a.intact = true
	return nil
}

// probe opens the file, so that a pipeline whose file cannot be written does not start. It does not change it: another process may
// still be writing.
func (a *appender) probe(sync string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		return nil
	}
	return a.open(sync)
}

func (a *appender) current() bool {
	mine, err := a.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(a.at.path())
	return err == nil && os.SameFile(mine, named)
}

func (a *appender) open(sync string) error {
	f, created, err := a.at.open(os.O_RDWR | os.O_APPEND)
	unread := false
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrPermission) {
		f, created, err = a.at.open(os.O_WRONLY | os.O_APPEND)
		unread = true // its last line cannot be looked at
	}
	if err != nil {
		return openError(err, a.name)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode()&os.ModeCharDevice == 0 {
		err = &os.PathError{Op: "open", Path: a.at.path(), Err: errors.New("it is no regular file; stdout writes to pipes")}
	}
	if err != nil {
		_ = f.Close()
		return openError(err, a.name)
	}
	a.file, a.regular, a.intact = f, info.Mode().IsRegular(), created || unread
	if created && sync != syncNone {
		if err := a.at.syncDirs(); err != nil {
			a.close()
			return writeError(err)
		}
	}
	return nil
}

// cutTorn removes what stands behind the last line end: a line that a crash has cut short, and that nobody has been told is safe.
func (a *appender) cutTorn(log *slog.Logger) error {
	size, err := a.size()
	if err != nil {
		return err
	}
	end, err := lastLineEnd(a.file, size)
	if err != nil || end == size {
		return err
	}
	log.Warn("cut an unfinished last line off a file", "path", a.at.path(), "bytes", size-end)
	return a.file.Truncate(end)
}

// lastLineEnd is the position behind the last line end of a file.
func lastLineEnd(f io.ReaderAt, size int64) (int64, error) {
	const block = 64 << 10
	buf := make([]byte, min(size, block))
	for end := size; end > 0; {
		start := max(0, end-block)
		part := buf[:end-start]
		if _, err := f.ReadAt(part, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			return start + int64(at) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// close is for the next write to open the file anew.
func (a *appender) close() {
	if a.file != nil {
		_ = a.file.Close()
	}
	a.file, a.intact = nil, false
}

// Close ends the appender after its last user.
func (a *appender) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}
