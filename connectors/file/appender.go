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
	"time"

	"github.com/millstream/millstream/flow"
)

// appender appends lines to one file. All sinks of an engine that write to the file share one, so that nobody cuts what another one is
// writing; the lock on the file keeps other processes out.
type appender struct {
	at   place
	name flow.Class // of an error about the name
	now  func() time.Time

	mu      sync.Mutex
	file    handle
	regular bool
	// intact: the file is known to end with a whole line.
	intact bool
	// lasting: the file's name is known to be on the disk. An earlier process may have made the file and not come to that.
	lasting bool
	// headed is the header line that the file is known to begin with.
	headed string
	last   time.Time // of the last write
	buf    []byte
}

// manner is how a sink wants its lines written.
type manner struct {
	head   string // the header line; empty: none
	sync   string
	rotate rotation
	log    *slog.Logger
}

// maxKept is the largest buffer that is kept for the next batch.
const maxKept = 4 << 20

// append writes outs and sets their errors. The order stays: nothing overtakes what has failed.
func (a *appender) append(outs []*flow.Outgoing, how manner) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(outs) > 0 {
		size, err := a.ready(how, len(outs[0].Body)+1)
		if err != nil {
			fail(outs, err)
			return
		}
		n := 1
		if how.sync != syncEvery {
			n = how.rotate.fitting(outs, size)
		}
		a.write(outs[:n], size, how.sync)
		if err := outs[n-1].Err; err != nil {
			fail(outs[n:], err)
			return
		}
		outs = outs[n:]
	}
}

// write appends lines to a file of that size.
func (a *appender) write(outs []*flow.Outgoing, size int64, sync string) {
	a.buf = a.buf[:0]
	for _, o := range outs {
		a.buf = append(append(a.buf, o.Body...), '\n')
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
		a.cutTo(size + int64(end))
	}
	if err := a.sync(sync); err != nil {
		// What was written may or may not be on the disk. It is taken back, so that it is there once when it comes again.
		fail(outs, writeError(err))
		a.cutTo(size)
		a.close()
		return
	}
	a.last = a.now()
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
// rotation), sees to it that it ends with a whole line, puts it aside when that is due before a line of so many bytes, and gives its size.
func (a *appender) ready(how manner, line int) (size int64, err error) {
	if a.file != nil && a.regular && !a.at.named(a.file) {
		a.close()
		a.lasting = false
	}
	for {
		if a.file == nil {
			if err := a.open(); err != nil {
				return 0, err
			}
		}
		if !a.regular {
			return 0, a.begin(how.head)
		}
		if err := errors.Join(a.keep(how.sync), a.mend(how.log)); err != nil {
			return 0, writeError(err)
		}
		if size, err = a.size(); err != nil {
			return 0, writeError(err)
		}
		if !how.rotate.due(size, a.last, a.now(), line) {
			return a.under(how.head, size)
		}
		if err := a.putAside(how.sync, how.log); err != nil {
			return 0, err
		}
	}
}

// probe opens the file, so that a pipeline whose file cannot be written does not start. It does not change it.
func (a *appender) probe() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		return nil
	}
	return a.open()
}

func (a *appender) open() error {
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
	a.headed = ""
	a.file, a.regular, a.intact, a.last = f, info.Mode().IsRegular(), created || unread, info.ModTime()
	a.lasting = a.lasting && !created
	return nil
}

// keep makes the name of the file last.
func (a *appender) keep(sync string) error {
	if sync == syncNone || a.lasting || !a.regular {
		return nil
	}
	if err := a.at.syncDirs(); err != nil {
		return err
	}
	a.lasting = true
	return nil
}

// mend removes what stands behind the last line end: a line that a crash has cut short, and that nobody has been told is safe.
func (a *appender) mend(log *slog.Logger) error {
	if a.intact {
		return nil
	}
	size, err := a.size()
	if err != nil {
		return err
	}
	end, err := lastLineEnd(a.file, size)
	if err != nil {
		return err
	}
	if end < size {
		log.Warn("cut an unfinished last line off a file", "path", a.at.path(), "bytes", size-end)
		if err := a.file.Truncate(end); err != nil {
			return err
		}
	}
	a.intact = true
	return nil
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
