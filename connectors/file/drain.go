package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/flow"
)

// drain reads what a file has got since it was read last. more tells that its turn is over before its end. What is wrong with one file
// does not stop the others of a source that follows; err ends the source.
func (f *follower) drain(ctx context.Context, in flow.Intake, t *tail) (more bool, err error) {
	more, wrong, err := f.readOn(ctx, in, t)
	switch {
	case err != nil:
		return false, err
	case wrong == nil:
		t.complaint = ""
		return more, nil
	case isGone(wrong) && t.away:
		f.gone(t)
		return false, nil
	case isGone(wrong):
		return false, nil // the next look finds out
	case errors.Is(wrong, errShorter):
		f.restart(t)
		return true, nil
	case f.follow:
		f.complain(&t.complaint, t.at.Path, wrong)
		return false, nil
	}
	return false, fmt.Errorf("read %s: %w", t.path, wrong)
}

// readOn is drain, with what is wrong with the file apart from what ends the source.
func (f *follower) readOn(ctx context.Context, in flow.Intake, t *tail) (more bool, wrong, err error) {
	if t.away {
		if wrong := f.reach(t); wrong != nil {
			return false, wrong, nil
		}
		if t.info, wrong = t.file.Stat(); wrong != nil {
			return false, wrong, nil
		}
	}
	info := t.info
	if t.unchanged(info) {
		return false, nil, nil
	}
	if wrong := f.reach(t); wrong != nil {
		return false, wrong, nil
	}
	same, wrong := t.same(info)
	switch {
	case wrong != nil:
		return false, wrong, nil
	case !same && t.away:
		return false, fs.ErrNotExist, nil // what has its number is another file
	case !same:
		f.restart(t)
		return true, nil, nil
	}
	if wrong := f.markHead(t, info.Size()); wrong != nil {
		return false, wrong, nil
	}
	if !t.compressed() {
		line, wrong := t.hasLine()
		if wrong != nil {
			return false, wrong, nil
		}
		if !line || info.Size() == t.offset {
			t.reached(info)
			return false, nil, nil
		}
	}
	more, wrong, err = f.read(ctx, in, t, !t.compressed())
	if !more && err == nil && (wrong == nil || t.compressed() && !errors.Is(wrong, errShorter)) {
		t.reached(info) // a compressed file that is damaged or not complete is looked at again when it has changed
	}
	return more, wrong, err
}

// reached notes that all of the file has been read that was there when info was taken.
func (t *tail) reached(info os.FileInfo) {
	if !t.unchanged(info) {
		t.grown = time.Now()
	}
	t.seen = info
}

// reach opens a file, which may have been renamed once more, and closes another one when too many are open.
func (f *follower) reach(t *tail) error {
	f.clock++
	t.used = f.clock
	err := t.open()
	if err != nil && isGone(err) && t.away {
		path, ok := beside(t.at.Path, t.at.identity())
		if !ok {
			return fs.ErrNotExist
		}
		t.path = path
		err = t.open()
	}
	if err != nil {
		return err
	}
	f.closeOldest()
	return nil
}

func (f *follower) closeOldest() {
	open := 0
	var oldest *tail
	for _, t := range f.byID {
		if t.file == nil {
			continue
		}
		open++
		if !t.away && (oldest == nil || t.used < oldest.used) {
			oldest = t
		}
	}
	if open > mostOpen && oldest != nil && oldest.used != f.clock {
		oldest.close()
	}
}

// markHead marks the beginning of a file as far as it is there, so that it is known again.
func (f *follower) markHead(t *tail, size int64) error {
	if t.at.Head.Size == headSize || int64(t.at.Head.Size) == size {
		return nil
	}
	head, err := markAt(t.file, 0, int(min(headSize, size)))
	if err == nil {
		f.positions.change(t.at, func(e *entry) { e.Head = head })
	}
	return err
}

// read pushes the lines of a file from its offset on. rest tells to leave what stands behind the last line end.
func (f *follower) read(ctx context.Context, in flow.Intake, t *tail, rest bool) (more bool, wrong, err error) {
	if wrong := f.head(t); wrong != nil {
		return false, wrong, nil
	}
	from, closing, wrong := t.reader(f.ratio)
	if wrong != nil {
		return false, wrong, nil
	}
	defer closing()
	reader := lines.NewReader(from, &f.pool, func() int64 { return f.limits.MaxMessage })
	defer reader.Close()
	reader.StartAt(t.offset)
	if rest {
		reader.LeaveRest()
	}
	began := t.offset
	for ctx.Err() == nil {
		segment, wrong := reader.Next()
		if errors.Is(wrong, io.EOF) {
			if rest {
				t.barren, wrong = t.file.Seek(0, io.SeekCurrent)
				return false, wrong, nil
			}
			return false, nil, nil
		}
		if wrong != nil {
			return false, wrong, nil
		}
		err := f.push(ctx, in, t, &segment)
		segment.Release()
		if err != nil {
			return false, nil, err
		}
		if f.follow && t.offset-began >= turn {
			return true, nil, nil
		}
	}
	return false, nil, nil
}

// push hands the lines of a segment to the engine.
func (f *follower) push(ctx context.Context, in flow.Intake, t *tail, segment *lines.Segment) error {
	arrived := time.Now().UnixNano()
	f.batcher.Lane, f.batcher.Topic, f.batcher.Generation, f.batcher.Heading = t.stream.lane, t.at.Path, t.at.Generation, t.heading
	for {
		before := segment.Data
		b := f.batcher.Cut(segment, arrived)
		if taken := before[:len(before)-len(segment.Data)]; len(taken) > 0 {
			t.offset, t.edge = segment.Offset, mark{}
			if segment.TooLong == 0 {
				t.edge = edgeOf(taken)
			}
		}
		if b == nil {
			return nil
		}
		f.positions.room(ctx, len(b.Records), f.limits.InFlight)
		f.positions.push(b, t.at, segment.Offset, t.edge)
		if err := in.Push(ctx, b); err != nil {
			f.Settle(b)
			return err
		}
	}
}

// finish ends a file that does not grow any more: what stands behind its last line end is a line after all.
func (f *follower) finish(ctx context.Context, in flow.Intake, t *tail) error {
	if t.barren > t.offset {
		_, wrong, err := f.read(ctx, in, t, false)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if wrong != nil {
			f.complain(&t.complaint, t.at.Path, wrong)
			return nil
		}
	}
	f.leave(t)
	f.positions.retire(t.at)
	return nil
}
