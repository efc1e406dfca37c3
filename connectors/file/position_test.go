package file

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/millstream/millstream/flow"
)

// batchAt is a batch of one-byte lines, two bytes each with their ends, that starts at offset.
func batchAt(offset int64, settled ...bool) *flow.Batch {
	b := &flow.Batch{Records: make([]flow.Record, len(settled))}
	for i, s := range settled {
		b.Records[i].Offset = offset + int64(2*i)
		if s {
			b.Records[i].Finish(flow.Delivered)
		}
	}
	return b
}

func offsetOf(t *testing.T, dir string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "positions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state stateFile
	if err := json.Unmarshal(b, &state); err != nil {
		t.Fatal(err)
	}
	return state.Files["f"].Offset
}

func TestPositionIsNeverAheadOfWhatIsSettled(t *testing.T) {
	cases := []struct {
		name    string
		batches []*flow.Batch
		order   []int // in which the batches are settled
		want    []int64
	}{
		{"in order", []*flow.Batch{batchAt(0, true, true), batchAt(4, true)}, []int{0, 1}, []int64{4, 6}},
		{"the second first", []*flow.Batch{batchAt(0, true, true), batchAt(4, true)}, []int{1, 0}, []int64{0, 6}},
		{"a record in the middle stays", []*flow.Batch{batchAt(0, true, false, true), batchAt(6, true)}, []int{0, 1}, []int64{2, 2}},
		{"the first record stays", []*flow.Batch{batchAt(0, false, true), batchAt(4, true)}, []int{0, 1}, []int64{0, 0}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			p, err := openPositions(dir)
			if err != nil {
				t.Fatal(err)
			}
			p.files["f"] = position{}
			for _, b := range c.batches {
				p.push(b, "f", b.Records[0].Offset+int64(2*len(b.Records)))
			}
			for i, n := range c.order {
				if err := p.settle(c.batches[n]); err != nil {
					t.Fatal(err)
				}
				got := int64(0)
				if _, err := os.Stat(filepath.Join(dir, "positions.json")); err == nil {
					got = offsetOf(t, dir)
				}
				if got != c.want[i] {
					t.Errorf("after %d settled batches the position is %d, want %d", i+1, got, c.want[i])
				}
			}
			if err := p.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestStateInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	p, err := openPositions(dir)
	if err != nil {
		t.Fatal(err)
	}
	var refused *flow.Error
	if _, err := openPositions(dir); !errors.As(err, &refused) || refused.Code != flow.CodeStateLocked {
		t.Errorf("a second open gives %v, want code %s", err, flow.CodeStateLocked)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if p, err = openPositions(dir); err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	_ = p.close()
}

func TestCorruptStateIsRefused(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":9}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "positions.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var refused *flow.Error
		if _, err := openPositions(dir); !errors.As(err, &refused) || refused.Code != flow.CodeStateCorrupt {
			t.Errorf("state %q gives %v, want code %s", text, err, flow.CodeStateCorrupt)
		}
	}
}

func TestReplacedOrShortenedFileStartsAtItsBeginning(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write := func(text string) os.FileInfo {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	p, err := openPositions(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close() //nolint:errcheck // the test's own
	if at := p.start(path, write("a\nb\n")); at != 0 {
		t.Errorf("a new file starts at %d", at)
	}
	b := batchAt(0, true, true)
	p.push(b, path, 4)
	if err := p.settle(b); err != nil {
		t.Fatal(err)
	}
	if at := p.start(path, write("a\nb\nc\n")); at != 4 {
		t.Errorf("a file that has grown goes on at %d, want 4", at)
	}
	if at := p.start(path, write("x\n")); at != 0 {
		t.Errorf("a file that has become shorter starts at %d", at)
	}
	p.files[path] = position{Device: p.files[path].Device, Inode: p.files[path].Inode + 1, Offset: 2}
	if at := p.start(path, write("x\ny\n")); at != 0 {
		t.Errorf("another file of the name starts at %d", at)
	}
}
