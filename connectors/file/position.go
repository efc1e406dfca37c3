package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/millstream/millstream/flow"
)

// positions remembers how far each file has been settled, so that a later run goes on there. What it writes down is never ahead of what
// was settled: after a kill, a position that was not written any more means repeats, never loss.
type positions struct {
	path string
	lock *os.File

	mu      sync.Mutex
	files   map[string]position
	pending []*pending // in the order of the pushes
	synced  time.Time
	dirty   bool
}

// position is where to go on in a file. Device and inode tell whether it is still the same file.
type position struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`
}

// pending is a batch that is not settled yet.
type pending struct {
	batch *flow.Batch
	file  string
	next  int64 // where the file goes on behind the batch
	done  bool
	stop  int64 // the first byte that must be read again; -1 when all is settled
}

// stateFile is what the state directory of a source holds.
type stateFile struct {
	Version int                 `json:"version"`
	Files   map[string]position `json:"files"`
}

const (
	stateVersion = 1
	// forceEvery is how often positions are forced to the disk. Between two of them a power failure, unlike a kill, may cost repeats.
	forceEvery = time.Second
)

// openPositions locks the source's state directory and reads what an earlier run left.
func openPositions(dir string) (*positions, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	p := &positions{path: filepath.Join(dir, "positions.json"), lock: lock, files: map[string]position{}}
	b, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	var state stateFile
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err == nil && state.Version != stateVersion {
		err = fmt.Errorf("version %d, want %d", state.Version, stateVersion)
	}
	if err != nil {
		_ = lock.Close()
		return nil, flow.Errorf(flow.Fatal, flow.CodeStateCorrupt, "read %s: %w; delete it to start at the beginning of the files", p.path, err)
	}
	if state.Files != nil {
		p.files = state.Files
	}
	return p, nil
}

// lockDir takes the lock that one process at a time may have.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, flow.Errorf(flow.Fatal, flow.CodeStateLocked,
			"the state in %s is in use: the same pipeline runs already; give this one another --state", dir)
	}
	return f, nil
}

// start tells where to go on in a file; 0 when it is not the file that was read before, or has become shorter.
func (p *positions) start(path string, info os.FileInfo) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	device, inode := identity(info)
	old, known := p.files[path]
	if !known || old.Device != device || old.Inode != inode || old.Offset > info.Size() {
		p.files[path] = position{Device: device, Inode: inode}
		return 0
	}
	return old.Offset
}

func identity(info os.FileInfo) (device, inode uint64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Dev, s.Ino
	}
	return 0, 0
}

// push notes a batch before it is handed to the engine.
func (p *positions) push(b *flow.Batch, file string, next int64) {
	p.mu.Lock()
	p.pending = append(p.pending, &pending{batch: b, file: file, next: next, stop: -1})
	p.mu.Unlock()
}

// settle notes what became of a batch, before its memory is used again, and writes down how far everything is settled.
func (p *positions) settle(b *flow.Batch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.pending {
		if e.batch != b || e.done {
			continue
		}
		e.done, e.batch = true, nil
		for i := range b.Records {
			if !b.Records[i].Settled() {
				e.stop = b.Records[i].Offset
				break
			}
		}
		break
	}
	for len(p.pending) > 0 && p.pending[0].done {
		e := p.pending[0]
		at := p.files[e.file]
		at.Offset = e.next
		if e.stop >= 0 {
			at.Offset = e.stop
		}
		p.files[e.file], p.dirty = at, true
		if e.stop >= 0 {
			break // nothing behind it may be written down as settled
		}
		p.pending = p.pending[1:]
	}
	if !p.dirty {
		return nil
	}
	return p.write(time.Since(p.synced) > forceEvery)
}

// write replaces the file as a whole, so that it is never half written.
func (p *positions) write(sync bool) error {
	b, err := json.Marshal(stateFile{Version: stateVersion, Files: p.files})
	if err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	if err := replace(p.path, b, sync); err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	p.dirty = false
	if sync {
		p.synced = time.Now()
	}
	return nil
}

func replace(path string, content []byte, sync bool) error {
	next := path + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && sync {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	if !sync {
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// close writes everything down for good and lets go of the lock.
func (p *positions) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if len(p.files) > 0 {
		err = p.write(true)
	}
	return errors.Join(err, p.lock.Close())
}
