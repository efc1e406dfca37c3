package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/flow"
)

// stream is all that has had one path, one file after another: they are one lane.
type stream struct {
	path  string
	lane  *flow.Lane
	tails []*tail
}

// tail is a file that is read as it grows.
type tail struct {
	at     *position
	stream *stream
	// path is where the file is now; empty when it has no name that is known.
	path string
	// away: the pattern does not name the file any more: it was renamed or removed.
	away bool
	info os.FileInfo // as it was found last
	file *os.File    // nil: not open
	used int64       // when it was read, by the follower's clock

	offset int64 // up to where lines have been read
	edge   mark
	// heading is the file's header line; nil until its lines are read.
	heading *lines.Heading
	seen    os.FileInfo // as the file was when its end was last reached; nil: not yet
	grown   time.Time   // when that was last another one
	// barren: there is no line end from offset up to here.
	barren int64
	// complaint is what was last said about the file, so that it is said once.
	complaint string
}

// unchanged tells that there is nothing to read since the end was last reached.
func (t *tail) unchanged(info os.FileInfo) bool {
	return t.seen != nil && t.seen.Size() == info.Size() && t.seen.ModTime().Equal(info.ModTime())
}

// open opens the file that has the path, if it still is the one that is meant.
func (t *tail) open() error {
	if t.file != nil {
		return nil
	}
	f, err := openRegular(t.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && identityOf(info) != t.at.identity() {
		err = errOtherFile
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	t.file = f
	return nil
}

// errOtherFile: a path has gone over to another file in the moment between looking and opening; the next look finds it.
var errOtherFile = errors.New("the path names another file now")

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}

// same tells whether the file still begins and goes on as it did when it was read: it was not cut, and nobody else has got its number.
func (t *tail) same(info os.FileInfo) (bool, error) {
	if !t.compressed() && info.Size() < t.offset {
		return false, nil
	}
	if ok, err := t.at.Head.fits(t.file, 0); !ok || err != nil {
		return false, err
	}
	if t.compressed() {
		return true, nil
	}
	return t.edge.fits(t.file, t.offset-int64(t.edge.Size))
}

func (t *tail) compressed() bool { return isCompressed(t.at.Path) }

// hasLine looks for a line end in what has been added since there was none.
func (t *tail) hasLine() (bool, error) {
	if t.barren <= t.offset {
		return true, nil
	}
	b := make([]byte, 64<<10)
	for {
		n, err := t.file.ReadAt(b, t.barren)
		if bytes.IndexByte(b[:n], '\n') >= 0 {
			return true, nil
		}
		t.barren += int64(n)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// reader gives what stands in the file from where it was read to on.
func (t *tail) reader(ratio int) (io.Reader, func(), error) { return t.readerAt(t.offset, ratio) }

// readerAt gives what stands in the file from an offset on. It ends where the file ended when it was looked at: what comes later may stand
// in a file that was cut meanwhile, and only another look finds that out.
func (t *tail) readerAt(offset int64, ratio int) (io.Reader, func(), error) {
	if !t.compressed() {
		_, err := t.file.Seek(offset, io.SeekStart)
		return io.LimitReader(t.file, t.info.Size()-offset), func() {}, err
	}
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return nil, nil, err
	}
	r, closing, err := expand(t.at.Path, t.file, ratio)
	if err != nil {
		return nil, nil, err
	}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		closing()
		if errors.Is(err, io.EOF) {
			err = errShorter
		}
		return nil, nil, err
	}
	return r, closing, nil
}

// errShorter: a compressed file holds less than has been read of it: it was replaced in place.
var errShorter = errors.New("it holds less than before")

// end is where a file is read from that is not to be read from its beginning: behind its last whole line.
func (t *tail) end(ratio int) (offset int64, edge mark, err error) {
	if t.compressed() {
		r, closing, err := t.reader(ratio)
		if err != nil {
			return 0, mark{}, err
		}
		defer closing()
		offset, err = io.Copy(io.Discard, r)
		return offset, mark{}, err
	}
	info, err := t.file.Stat()
	if err != nil {
		return 0, mark{}, err
	}
	if offset, err = lastLineEnd(t.file, info.Size()); err != nil {
		return 0, mark{}, err
	}
	size := min(edgeSize, offset)
	edge, err = markAt(t.file, offset-size, int(size))
	return offset, edge, err
}

// openRegular opens a file and refuses what has no positions.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: path, Err: errors.New("it is no regular file, and follow and resume need one")}
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return f, nil
}
