package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/failpoint"
)

// entry is where to go on in a file, and what tells whether it is still the same file.
type entry struct {
	Path   string `json:"path"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	// Offset counts the bytes that need not be read again; of a compressed file, those that come out of it.
	Offset int64 `json:"offset"`
	// Generation tells the files apart that have had the path.
	Generation int32 `json:"generation,omitempty"`
	// Head is the file's beginning, Edge what stands before Offset.
	Head mark `json:"head,omitzero"`
	Edge mark `json:"edge,omitzero"`
}

func (e *entry) identity() identity { return identity{device: e.Device, inode: e.Inode} }

// stateFile is what the state directory of a source holds.
type stateFile struct {
	Version  int     `json:"version"`
	Sequence uint64  `json:"sequence"`
	Entries  []entry `json:"entries"`
}

// firstState is version 1 of stateFile.
type firstState struct {
	Files map[string]struct {
		Device uint64 `json:"device"`
		Inode  uint64 `json:"inode"`
		Offset int64  `json:"offset"`
	} `json:"files"`
}

const (
	stateVersion = 2
	// forceEvery is how often positions are forced to the disk. Between two of them a power failure, unlike a kill, may cost repeats.
	forceEvery = time.Second
)

// decodeState reads the text of a state file, of any version.
func decodeState(b []byte) (stateFile, error) {
	var s stateFile
	if err := json.Unmarshal(b, &s); err != nil {
		return s, err
	}
	switch s.Version {
	case 1:
		var first firstState
		if err := json.Unmarshal(b, &first); err != nil {
			return s, err
		}
		s = stateFile{Version: stateVersion}
		for path, at := range first.Files {
			s.Entries = append(s.Entries, entry{Path: path, Device: at.Device, Inode: at.Inode, Offset: at.Offset})
		}
		slices.SortFunc(s.Entries, func(a, b entry) int { return strings.Compare(a.Path, b.Path) })
	case stateVersion:
	default:
		return s, fmt.Errorf("version %d, want %d", s.Version, stateVersion)
	}
	for i := range s.Entries {
		if e := &s.Entries[i]; e.Path == "" || e.Offset < 0 || e.Generation < 0 || !e.Head.valid(headSize) || !e.Edge.valid(edgeSize) {
			return s, fmt.Errorf("entry %d holds what was never written", i)
		}
	}
	return s, nil
}

// store keeps a state file in two copies: one that is forced to the disk from time to time and stands whatever happens, and one that is
// replaced with each change, which a kill of the process leaves whole and a power failure may not.
type store struct {
	forced, recent string
	lock           *os.File
	synced         time.Time
}

// openStore locks the source's state directory and reads what an earlier run left. fresh tells that there was none.
func openStore(dir string, log *slog.Logger) (s *store, state stateFile, fresh bool, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, state, false, fmt.Errorf("make state directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, state, false, err
	}
	s = &store{forced: filepath.Join(dir, "positions.json"), recent: filepath.Join(dir, "positions.recent.json"), lock: lock}
	b, err := os.ReadFile(s.forced)
	if errors.Is(err, fs.ErrNotExist) {
		return s, stateFile{Version: stateVersion}, true, nil
	}
	if err == nil {
		state, err = decodeState(b)
	}
	if err != nil {
		_ = lock.Close()
		return nil, state, false, flow.Errorf(flow.Fatal, flow.CodeStateCorrupt,
			"read %s: %w; delete it to start at the beginning of the files", s.forced, err)
	}
	if b, err = os.ReadFile(s.recent); err == nil {
		recent, err := decodeState(b)
		switch {
		case err != nil:
			log.Warn("the newest positions were cut short by a failure of the machine; older ones count, and what came since is repeated", "error", err)
		case recent.Sequence > state.Sequence:
			state = recent
		}
	}
	return s, state, false, nil
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

// write replaces a copy as a whole, so that it is never half written.
func (s *store) write(state *stateFile, force bool) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(state); err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	path := s.recent
	if force = force || time.Since(s.synced) > forceEvery; force {
		path = s.forced
	}
	if err := replace(path, b.Bytes(), force); err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	if force {
		s.synced = time.Now()
	}
	return nil
}

func (s *store) close() error { return s.lock.Close() }

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
	failpoint.Hit(failpoint.StateWritten)
	if err := os.Rename(next, path); err != nil {
		return err
	}
	failpoint.Hit(failpoint.StateRenamed)
	if !sync {
		return nil
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
