package file

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"syscall"
)

// identity is what a file keeps when it is renamed. The number of a file that was removed is given to a new one, so it is not enough to
// know a file again: the marks of an entry must fit, too.
type identity struct{ device, inode uint64 }

func identityOf(info os.FileInfo) identity {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return identity{device: s.Dev, inode: s.Ino}
	}
	return identity{}
}

// mark is a fingerprint of some bytes of a file: how many, and their hash. The zero value is none and fits everything.
type mark struct {
	Size int    `json:"size,omitempty"`
	Sum  string `json:"sum,omitempty"`
}

const (
	// headSize is how much of a file's beginning is marked, edgeSize how much before the position.
	headSize = 1024
	edgeSize = 256
	// sumSize is how many bytes of the hash are kept, as hex digits.
	sumSize = 8
)

func markOf(b []byte) mark {
	if len(b) == 0 {
		return mark{}
	}
	sum := sha256.Sum256(b)
	return mark{Size: len(b), Sum: hex.EncodeToString(sum[:sumSize])}
}

// edgeOf marks the end of what was read.
func edgeOf(b []byte) mark { return markOf(b[max(0, len(b)-edgeSize):]) }

// markAt marks size bytes of a file.
func markAt(f io.ReaderAt, at int64, size int) (mark, error) {
	b := make([]byte, size)
	n, err := f.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return mark{}, err
	}
	return markOf(b[:n]), nil
}

// fits tells whether the bytes at a place of a file still are those that were marked.
func (m mark) fits(f io.ReaderAt, at int64) (bool, error) {
	if m.Size == 0 {
		return true, nil
	}
	if at < 0 {
		return false, nil
	}
	now, err := markAt(f, at, m.Size)
	return now == m, err
}

func (m mark) valid(most int) bool {
	b, err := hex.DecodeString(m.Sum)
	return m.Size == 0 && m.Sum == "" || err == nil && len(b) == sumSize && m.Size > 0 && m.Size <= most
}
