// Package lines reads messages that are lines of a stream into shared memory, and makes batches of them. It is what stdin and files
// have in common; it knows neither.
package lines

import (
	"bytes"
	"errors"
	"io"
)

const (
	// headBytes is how much of a line over the limit is kept, to show it.
	headBytes = 64 << 10
	// minRead is the room below which a read is not worth a system call.
	minRead = 32 << 10
)

// Segment is what one read brought: whole lines, one behind the other in one chunk.
type Segment struct {
	// Data is the lines with their ends; the last line of a stream may lack its end. Of a line that is over the limit it is the
	// beginning alone.
	Data []byte
	// Offset is where Data starts in the stream, in bytes.
	Offset int64
	// TooLong is the length of the one line that Data is the beginning of; 0 when Data is whole lines.
	TooLong int64
	// Passed is how many bytes of that line, with its end, stand behind Data in the stream: a line that is over the limit ends there.
	Passed int64

	chunk *Chunk
	at    int // where Data starts in the chunk
}

// Release gives the segment's memory back. It is called once by whoever took the segment from Next.
func (s *Segment) Release() { s.chunk.Release() }

// Join lengthens s by next when next's bytes stand right behind its own, and then releases next. It reports whether it did.
func (s *Segment) Join(next Segment) bool {
	if next.chunk != s.chunk || s.TooLong != 0 || next.TooLong != 0 || next.at != s.at+len(s.Data) {
		return false
	}
	s.Data = s.chunk.buf[s.at : next.at+len(next.Data)]
	next.Release()
	return true
}

// Reader cuts a stream into segments. It is used by one goroutine.
type Reader struct {
	from  io.Reader
	pool  *Pool
	limit func() int64

	chunk  *Chunk
	size   int   // of the next chunk: grows with the lines
	start  int   // where the unfinished line begins in the chunk
	filled int   // where the next read goes
	offset int64 // of start in the stream
	err    error // what the stream ended with
	behind bool  // what stands in the chunk came with a line that was passed over, and may hold whole lines
	grows  bool  // what stands behind the last line end is left
}

// NewReader reads from r. limit gives the longest line in bytes, without its end; it is asked as the reading goes.
func NewReader(r io.Reader, pool *Pool, limit func() int64) *Reader {
	return &Reader{from: r, pool: pool, limit: limit, size: chunkSize}
}

// StartAt tells where in the stream the reading starts, before the first Next: offsets count on from there.
func (r *Reader) StartAt(offset int64) { r.offset = offset }

// LeaveRest tells, before the first Next, that the stream ends where somebody may go on writing: what stands behind the last line end
// is no line yet and is left. A next reader begins with it, at the end of the last segment.
func (r *Reader) LeaveRest() { r.grows = true }

// Next waits for whole lines and returns what one read brought of them. It blocks as long as the stream does. At the end of the stream
// it returns io.EOF, and any other error of the stream once the lines before it are out.
func (r *Reader) Next() (Segment, error) {
	if r.behind {
		r.behind = false
		if end := bytes.LastIndexByte(r.chunk.buf[:r.filled], '\n'); end >= 0 {
			return r.cut(end + 1), nil
		}
	}
	for {
		if r.err != nil {
			return r.last()
		}
		r.makeRoom()
		n, err := r.read()
		fresh := r.chunk.buf[r.filled : r.filled+n]
		r.filled += n
		r.err = err
		if end := bytes.LastIndexByte(fresh, '\n'); end >= 0 {
			return r.cut(r.filled - n + end + 1), nil
		}
		// A line of the limit's length may still have a carriage return at its end.
		if int64(r.filled-r.start) > r.limit()+1 {
			return r.skipLong()
		}
	}
}

// Close releases what the reader holds. It does not close the stream.
func (r *Reader) Close() {
	if r.chunk != nil {
		r.chunk.Release()
		r.chunk = nil
	}
}

var errNoProgress = errors.New("the stream gives neither bytes nor an error")

func (r *Reader) read() (int, error) {
	for range 100 {
		n, err := r.from.Read(r.chunk.buf[r.filled:])
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, errNoProgress
}

// makeRoom sees to it that the chunk has room for a read. The unfinished line moves to a new chunk, since it must stay in one piece.
func (r *Reader) makeRoom() {
	if r.chunk == nil {
		r.chunk = r.pool.take(r.size)
		r.start, r.filled = 0, 0
		return
	}
	if len(r.chunk.buf)-r.filled >= minRead {
		return
	}
	rest := r.chunk.buf[r.start:r.filled]
	for len(rest)+minRead > r.size/2 {
		r.size *= 2
	}
	next := r.pool.take(r.size)
	copy(next.buf, rest)
	r.chunk.Release()
	r.chunk, r.start, r.filled = next, 0, len(rest)
}

// cut takes the bytes up to end out as a segment.
func (r *Reader) cut(end int) Segment {
	s := Segment{Data: r.chunk.buf[r.start:end], Offset: r.offset, chunk: r.chunk, at: r.start}
	r.chunk.Hold()
	r.offset += int64(end - r.start)
	r.start = end
	return s
}

// last returns the line without an end that stands before the stream's end, and then the end.
func (r *Reader) last() (Segment, error) {
	if r.chunk != nil && r.filled > r.start && !r.grows && errors.Is(r.err, io.EOF) {
		return r.cut(r.filled), nil
	}
	return Segment{}, r.err
}

// skipLong passes over a line that is over the limit and returns its beginning. A line that an error cut off is not whole and is left,
// as in last.
func (r *Reader) skipLong() (Segment, error) {
	head := r.cut(min(r.filled, r.start+headBytes))
	head.TooLong = int64(len(head.Data))
	rest := r.chunk.buf[r.start:r.filled]
	room := r.pool.take(chunkSize)
	defer room.Release()
	for {
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			head.TooLong += int64(end)
			head.Passed += int64(end + 1)
			r.offset += int64(end + 1)
			r.restart(rest[end+1:])
			return head, nil
		}
		head.TooLong += int64(len(rest))
		head.Passed += int64(len(rest))
		r.offset += int64(len(rest))
		if r.err != nil {
			r.restart(nil)
			if r.grows || !errors.Is(r.err, io.EOF) {
				head.Release()
				return Segment{}, r.err
			}
			return head, nil
		}
		n, err := r.from.Read(room.buf)
		rest, r.err = room.buf[:n], err
	}
}

// restart goes on with the bytes behind a line that was passed over, in a chunk of its own.
func (r *Reader) restart(rest []byte) {
	next := r.pool.take(max(r.size, len(rest)+minRead))
	copy(next.buf, rest)
	r.chunk.Release()
	r.chunk, r.start, r.filled, r.behind = next, 0, len(rest), true
}
