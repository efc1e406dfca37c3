package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
)

const (
	// mostOpen is how many files a source keeps open. The one that was read longest ago is closed for a new one; what was renamed or
	// removed stays open, since it may not be found again.
	mostOpen = 128
	// turn is how much of a file is read before it is the next one's turn.
	turn = 8 << 20
	// letGoAfter is how long a file that was renamed or removed must not have grown until it is taken as finished: whoever writes it may
	// open the new one only later.
	letGoAfter = time.Minute
)

// keeping is what a source that keeps positions was configured with.
type keeping struct {
	pattern  string
	follow   bool
	fromEnd  bool
	ratio    int
	patience time.Duration
	under    func(header []byte) document.Coder // nil: no line is a header
}

// follower reads files and keeps how far each has been settled: once through what is there, or on and on as it grows. One goroutine
// reads; Settle comes from any.
type follower struct {
	keeping
	limits    flow.Limits
	log       *slog.Logger
	batcher   lines.Batcher
	pool      lines.Pool
	positions *positions

	begun   bool
	lane    *flow.Lane // of all files, when they are read once in the order of their names
	streams []*stream
	byPath  map[string]*stream
	byID    map[identity]*tail
	watcher *watcher // nil when nobody waits for changes
	clock   int64
	said    string // the last complaint that concerns no single file

	keepingMu sync.Mutex
	unkept    bool // that the position could not be kept was said
}

func openFollower(k keeping, host flow.Host) (*follower, error) {
	if !k.follow {
		if _, err := find(k.pattern); err != nil {
			return nil, err
		}
	}
	p, err := openPositions(host.StateDir(), host.Logger())
	if err != nil {
		return nil, err
	}
	return &follower{
		keeping: k, limits: host.Limits(), log: host.Logger(), batcher: lines.Batcher{Limits: host.Limits()}, positions: p,
		lane: flow.NewLane(k.pattern), byPath: map[string]*stream{}, byID: map[identity]*tail{},
	}, nil
}

// Run implements flow.Source.
func (f *follower) Run(ctx context.Context, in flow.Intake) error {
	if f.follow {
		f.watcher = newWatcher(f.log)
		defer f.watcher.close()
		f.watcher.watch(fixedDir(f.pattern))
	}
	for {
		began := time.Now()
		more, err := f.pass(ctx, in)
		switch {
		case ctx.Err() != nil:
			return nil // a source that is told to stop has not failed
		case err != nil:
			return err
		case more:
		case !f.follow:
			f.sayWhatWaits()
			return nil
		default:
			f.watcher.wait(ctx, time.Since(began))
		}
	}
}

// fixedDir is the directory above a pattern's first wildcard.
func fixedDir(pattern string) string {
	if at := strings.IndexAny(pattern, "*?["); at >= 0 {
		pattern = pattern[:at] + "x"
	}
	return filepath.Dir(pattern)
}

// pass looks at all files once and reads what is new. more tells that some have more already.
func (f *follower) pass(ctx context.Context, in flow.Intake) (more bool, err error) {
	if err := f.discover(ctx); err != nil || ctx.Err() != nil {
		return false, err
	}
	for _, s := range slices.Clone(f.streams) {
		for _, t := range slices.Clone(s.tails) {
			left, err := f.drain(ctx, in, t)
			if err != nil || ctx.Err() != nil {
				return false, err
			}
			if left {
				more = true
				break // what comes after it in the same path waits
			}
		}
	}
	if f.follow {
		return more, f.letGo(ctx, in)
	}
	return more, nil
}

// discover finds out which files there are and what has become of those that are known.
func (f *follower) discover(ctx context.Context) error {
	all, err := look(f.pattern)
	if err != nil {
		if !f.follow {
			return err
		}
		f.complain(&f.said, f.pattern, err)
		return nil
	}
	f.said = ""
	first := !f.begun
	if first {
		f.takeUp(all)
	}
	listed := map[identity]bool{}
	var unknown []found
	for _, file := range all {
		id := identityOf(file.info)
		listed[id] = true
		t, ok := f.byID[id]
		if !ok {
			unknown = append(unknown, file)
			continue
		}
		t.path, t.away, t.info = file.path, false, file.info
		f.watch(file.path)
	}
	for id, t := range f.byID {
		if !listed[id] {
			f.miss(t)
		}
	}
	if f.follow {
		slices.SortStableFunc(unknown, func(a, b found) int { return cmp.Compare(a.info.ModTime().UnixNano(), b.info.ModTime().UnixNano()) })
	}
	for _, file := range unknown {
		if err := f.adopt(file, first && f.fromEnd && f.positions.fresh); err != nil {
			return err
		}
	}
	f.begun = true
	err = f.kept(f.positions.save(first))
	// Where reading begins at the end, a next run would begin at a later one unless this one is kept. Everywhere else it repeats at most.
	for first && f.fromEnd && f.positions.fresh && err != nil && ctx.Err() == nil {
		select {
		case <-time.After(lookAgain):
			err = f.kept(f.positions.save(true))
		case <-ctx.Done():
		}
	}
	return nil
}

// lookAgain is how long the first position rests before it is tried to be kept again.
const lookAgain = 500 * time.Millisecond

// kept says when positions cannot be written any more, and when they can again.
func (f *follower) kept(err error) error {
	f.keepingMu.Lock()
	defer f.keepingMu.Unlock()
	switch {
	case err != nil && !f.unkept:
		f.log.Error("the position cannot be kept; unless that changes, a next run repeats what comes from now on", "error", err)
	case err == nil && f.unkept:
		f.log.Info("the position is kept again")
	}
	f.unkept = err != nil
	return err
}

func (f *follower) watch(path string) {
	if f.watcher != nil {
		f.watcher.watch(filepath.Dir(path))
	}
}

// takeUp finds the files again that an earlier run has left in the middle, those among them that were renamed since in their directory.
func (f *follower) takeUp(all []found) {
	listed := map[identity]string{}
	for _, file := range all {
		listed[identityOf(file.info)] = file.path
	}
	for _, at := range f.positions.all() {
		id := at.identity()
		path, ok := listed[id]
		away := !ok
		if away {
			path, ok = beside(at.Path, id)
		}
		if _, twice := f.byID[id]; !ok || twice {
			f.log.Warn("a file that was read is gone; what came into it later cannot be read", "path", at.Path, "position", at.Offset)
			f.positions.forget(at)
			continue
		}
		t := &tail{at: at, path: path, away: away, offset: at.Offset, edge: at.Edge, grown: time.Now()}
		f.byID[id] = t
		f.join(t, at.Path)
	}
}

// adopt takes up a file that nobody has read.
func (f *follower) adopt(file found, atEnd bool) error {
	id := identityOf(file.info)
	t := &tail{path: file.path, info: file.info, at: f.positions.add(file.path, id), grown: time.Now()}
	f.byID[id] = t
	f.join(t, file.path)
	f.watch(file.path)
	if !atEnd {
		return nil
	}
	err := t.open()
	if err != nil && isGone(err) {
		f.leave(t)
		f.positions.forget(t.at)
		return nil // the next look finds what has its path
	}
	if err != nil {
		return openError(err, flow.ConfigError)
	}
	if t.offset, t.edge, err = t.end(f.ratio); err != nil {
		return fmt.Errorf("find the end of %s: %w", file.path, err)
	}
	// The file may have grown since it was looked at: a size that is smaller than the position would look like one that was cut.
	if t.info, err = t.file.Stat(); err != nil {
		return fmt.Errorf("look at %s: %w", file.path, err)
	}
	head, err := markAt(t.file, 0, headSize)
	if err != nil {
		return fmt.Errorf("read %s: %w", file.path, err)
	}
	f.positions.change(t.at, func(e *entry) { e.Offset, e.Edge, e.Head = t.offset, t.edge, head })
	return nil
}

// join makes a file the last one of its path.
func (f *follower) join(t *tail, path string) {
	s, ok := f.byPath[path]
	if !ok {
		s = &stream{path: path, lane: f.lane}
		if f.follow {
			s.lane = flow.NewLane(path)
		}
		f.byPath[path] = s
		f.streams = append(f.streams, s)
	}
	s.tails = append(s.tails, t)
	t.stream = s
}

// leave ends the reading of a file.
func (f *follower) leave(t *tail) {
	t.close()
	t.stream.tails = slices.DeleteFunc(t.stream.tails, func(other *tail) bool { return other == t })
	delete(f.byID, t.at.identity())
}

// miss notes that the pattern does not name a file any more.
func (f *follower) miss(t *tail) {
	if t.away && (t.file != nil || t.path != "") {
		return
	}
	t.away = true
	if t.file != nil {
		return
	}
	var ok bool
	if t.path, ok = beside(t.at.Path, t.at.identity()); !ok {
		f.gone(t)
	}
}

// gone gives up a file that cannot be found any more.
func (f *follower) gone(t *tail) {
	f.log.Info("a file is gone; all that was found in it has been read", "path", t.at.Path, "position", t.offset)
	f.leave(t)
	f.positions.retire(t.at)
}

// restart reads a file from its beginning that was cut, or written anew in its place, or that has got the number of one that was removed:
// then it comes after what is left of others that had its path.
func (f *follower) restart(t *tail) {
	f.log.Info("a file was cut or written anew; it is read from its beginning", "path", t.path, "position", t.offset)
	id := t.at.identity()
	f.positions.forget(t.at)
	t.at = f.positions.add(t.path, id)
	t.offset, t.edge, t.barren, t.seen, t.heading = 0, mark{}, 0, nil, nil
	t.stream.tails = slices.DeleteFunc(t.stream.tails, func(other *tail) bool { return other == t })
	f.join(t, t.path)
}

// letGo ends what was renamed or removed and does not grow any more, and forgets paths that have no file.
func (f *follower) letGo(ctx context.Context, in flow.Intake) error {
	for _, s := range slices.Clone(f.streams) {
		for _, t := range slices.Clone(s.tails) {
			if !t.away || t.seen == nil || time.Since(t.grown) < f.patience {
				continue
			}
			if err := f.finish(ctx, in, t); err != nil || ctx.Err() != nil {
				return err
			}
		}
		if len(s.tails) == 0 && f.positions.idle(s.lane) {
			s.lane.Abandon()
			delete(f.byPath, s.path)
			f.streams = slices.DeleteFunc(f.streams, func(other *stream) bool { return other == s })
		}
	}
	_ = f.kept(f.positions.save(false)) // it was said, and is tried again
	return nil
}

// complain logs an error unless it is what was logged last.
func (f *follower) complain(last *string, path string, err error) {
	if *last != err.Error() {
		*last = err.Error()
		f.log.Warn("a file cannot be read; it is tried again", "path", path, "error", err)
	}
}

// sayWhatWaits tells of last lines that have no end: somebody may be writing them, and the next run looks again.
func (f *follower) sayWhatWaits() {
	for _, s := range f.streams {
		for _, t := range s.tails {
			if t.barren > t.offset {
				f.log.Warn("the last line of a file has no end and is left for the next run", "path", t.path, "bytes", t.barren-t.offset)
			}
		}
	}
}

// Settle implements flow.Source.
func (f *follower) Settle(b *flow.Batch) {
	if moved, err := f.positions.settle(b); moved {
		_ = f.kept(err)
	}
	f.batcher.Settle(b)
}

// Close implements flow.Source.
func (f *follower) Close(context.Context) error {
	for _, t := range f.byID {
		t.close()
	}
	return f.positions.close()
}

// isGone tells that a file is not where it was looked for.
func isGone(err error) bool { return errors.Is(err, errOtherFile) || errors.Is(err, fs.ErrNotExist) }
