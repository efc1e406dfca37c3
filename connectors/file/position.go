package file

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/millstream/millstream/flow"
)

// positions remembers how far each file has been settled, so that a later run goes on there. What it writes down is never ahead of what
// was settled: after a kill, a position that was not written any more means repeats, never loss.
type positions struct {
	// fresh tells that no earlier run left anything.
	fresh bool

	mu      sync.Mutex
	files   []*position // in the order in which they were found
	flying  map[*flow.Batch]*pending
	lanes   map[*flow.Lane]int // batches that are not settled
	changes uint64
	// unsaved counts the records that a kill would repeat: pushed, and not written down as settled. lower is closed and replaced when it falls.
	unsaved int
	lower   chan struct{}

	writing sync.Mutex
	written uint64
	store   *store
	closed  bool
}

// position is an entry with what is under way behind it.
type position struct {
	entry
	pending []*pending // in the order of the pushes
	// blocked: a record was not settled, and nothing behind it may be written down as settled.
	blocked bool
	// retired: nothing more is read, and the entry goes when all is settled.
	retired bool
}

// pending is a batch that is not settled yet.
type pending struct {
	of   *position
	next int64 // where the file goes on behind the batch
	edge mark
	done bool
	stop int64 // the first byte that must be read again; -1 when all is settled
	size int   // in records; 0 once they do not count as unsaved any more
}

func openPositions(dir string, log *slog.Logger) (*positions, error) {
	store, state, fresh, err := openStore(dir, log)
	if err != nil {
		return nil, err
	}
	p := &positions{store: store, fresh: fresh, flying: map[*flow.Batch]*pending{}, lanes: map[*flow.Lane]int{}, changes: state.Sequence, written: state.Sequence,
		lower: make(chan struct{})}
	for _, e := range state.Entries {
		p.files = append(p.files, &position{entry: e})
	}
	return p, nil
}

// all are the files that are known.
func (p *positions) all() []*position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.files)
}

// add begins a file.
func (p *positions) add(path string, id identity) *position {
	f := &position{entry: entry{Path: path, Device: id.device, Inode: id.inode, Generation: rand.Int32N(1<<31-1) + 1}} //nolint:gosec // no secret
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = append(p.files, f)
	p.changes++
	return f
}

// forget removes a file whose content is gone. What of it is still under way moves nothing any more.
func (p *positions) forget(f *position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(f)
}

func (p *positions) remove(f *position) {
	p.files = slices.DeleteFunc(p.files, func(other *position) bool { return other == f })
	p.changes++
}

// retire removes a file that has been read to its end once all of it is settled.
func (p *positions) retire(f *position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.retired = true
	if len(f.pending) == 0 {
		p.remove(f)
	}
}

// idle tells that nothing of a lane is under way.
func (p *positions) idle(l *flow.Lane) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lanes[l] == 0
}

// change edits the entry of a file.
func (p *positions) change(f *position, edit func(e *entry)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit(&f.entry)
	p.changes++
}

// room waits until another batch leaves no more than most records unsaved: what is settled behind a record that is not counts too, because a
// kill would repeat it. One batch there is always room for.
func (p *positions) room(ctx context.Context, records, most int) {
	for {
		p.mu.Lock()
		full, lower := p.unsaved > 0 && p.unsaved+records > most, p.lower
		p.mu.Unlock()
		if !full {
			return
		}
		select {
		case <-lower:
		case <-ctx.Done():
			return
		}
	}
}

// lowered lets records not count as unsaved any more.
func (p *positions) lowered(records int) {
	if records == 0 {
		return
	}
	p.mu.Lock()
	p.unsaved -= records
	close(p.lower)
	p.lower = make(chan struct{})
	p.mu.Unlock()
}

// push notes a batch before it is handed to the engine.
func (p *positions) push(b *flow.Batch, f *position, next int64, edge mark) {
	e := &pending{of: f, next: next, edge: edge, stop: -1, size: len(b.Records)}
	p.mu.Lock()
	p.unsaved += e.size
	f.pending = append(f.pending, e)
	p.flying[b] = e
	p.lanes[b.Lane]++
	p.mu.Unlock()
}

// settle notes what became of a batch, before its memory is used again, and writes down how far everything is settled, when that has moved.
func (p *positions) settle(b *flow.Batch) (moved bool, err error) {
	p.mu.Lock()
	moved, records := p.advance(b)
	p.mu.Unlock()
	defer func() { p.lowered(records) }()
	if !moved {
		return false, nil
	}
	return true, p.save(false)
}

// advance moves the position of a file behind what is settled in one piece. records are those that are as saved as they can be once that
// is written down.
func (p *positions) advance(b *flow.Batch) (moved bool, records int) {
	e, ok := p.flying[b]
	if !ok {
		return false, 0
	}
	delete(p.flying, b)
	if p.lanes[b.Lane]--; p.lanes[b.Lane] == 0 {
		delete(p.lanes, b.Lane)
	}
	e.done = true
	for i := range b.Records {
		if !b.Records[i].Settled() {
			e.stop = b.Records[i].Offset
			break
		}
	}
	f := e.of
	for len(f.pending) > 0 && f.pending[0].done && !f.blocked {
		first := f.pending[0]
		f.pending = f.pending[1:]
		records += first.size
		first.size = 0
		f.Offset, f.Edge = first.next, first.edge
		if first.stop >= 0 {
			f.Offset, f.Edge, f.blocked = first.stop, mark{}, true
		}
		moved = true
	}
	if f.blocked { // nothing of this file is written down any more
		for _, behind := range f.pending {
			if behind.done {
				records += behind.size
				behind.size = 0
			}
		}
	}
	if !moved {
		return false, records
	}
	p.changes++
	if f.retired && !f.blocked && len(f.pending) == 0 {
		p.remove(f)
	}
	return true, records
}

// save writes down what has changed. Several that come at once share one write.
func (p *positions) save(force bool) error {
	p.mu.Lock()
	want := p.changes
	p.mu.Unlock()
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.written >= want && !force {
		return nil
	}
	p.mu.Lock()
	state := stateFile{Version: stateVersion, Sequence: p.changes, Entries: make([]entry, len(p.files))}
	for i, f := range p.files {
		state.Entries[i] = f.entry
	}
	p.mu.Unlock()
	if err := p.store.write(&state, force); err != nil {
		return err
	}
	p.written = state.Sequence
	return nil
}

// close writes everything down for good and lets go of the lock. Idempotent.
func (p *positions) close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(p.save(true), p.store.close())
}
