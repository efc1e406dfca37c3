package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// kept is where a next run would go on in the one file.
func kept(t *testing.T, dir string) int64 {
	t.Helper()
	again := t.TempDir()
	if err := os.CopyFS(again, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	p, err := openPositions(again, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close() //nolint:errcheck // the test's own
	all := p.all()
	if len(all) != 1 {
		t.Fatalf("%d files are known", len(all))
	}
	return all[0].Offset
}

func openKept(t *testing.T, dir string) *positions {
	t.Helper()
	p, err := openPositions(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
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
			p := openKept(t, dir)
			f := p.add("f", identity{device: 1, inode: 2})
			if err := p.save(true); err != nil {
				t.Fatal(err)
			}
			for _, b := range c.batches {
				p.push(b, f, b.Records[0].Offset+int64(2*len(b.Records)), mark{})
			}
			for i, n := range c.order {
				if _, err := p.settle(c.batches[n]); err != nil {
					t.Fatal(err)
				}
				if got := kept(t, dir); got != c.want[i] {
					t.Errorf("after %d settled batches the position is %d, want %d", i+1, got, c.want[i])
				}
			}
			if err := p.close(); err != nil {
				t.Fatal(err)
			}
			if got, want := kept(t, dir), c.want[len(c.want)-1]; got != want {
				t.Errorf("after closing the position is %d, want %d", got, want)
			}
		})
	}
}

func TestFilesAreSettledEachByItself(t *testing.T) {
	dir := t.TempDir()
	p := openKept(t, dir)
	a, b := p.add("a", identity{inode: 1}), p.add("b", identity{inode: 2})
	late, soon := batchAt(0, true), batchAt(0, true)
	p.push(late, a, 2, mark{})
	p.push(soon, b, 2, mark{})
	if _, err := p.settle(soon); err != nil {
		t.Fatal(err)
	}
	if a.Offset != 0 || b.Offset != 2 {
		t.Errorf("the positions are %d and %d, want 0 and 2", a.Offset, b.Offset)
	}
	p.retire(a)
	if n := len(p.all()); n != 2 {
		t.Errorf("a file that is not settled was forgotten: %d are known", n)
	}
	_, err := p.settle(late)
	if err := errors.Join(err, p.close()); err != nil {
		t.Fatal(err)
	}
	if all := openKept(t, dir).all(); len(all) != 1 || all[0].Path != "b" {
		t.Errorf("after the retired file was settled, %d are known", len(all))
	}
}

func TestStateInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	p := openKept(t, dir)
	var refused *flow.Error
	if _, err := openPositions(dir, slog.New(slog.DiscardHandler)); !errors.As(err, &refused) || refused.Code != flow.CodeStateLocked {
		t.Errorf("a second open gives %v, want code %s", err, flow.CodeStateLocked)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if err := openKept(t, dir).close(); err != nil {
		t.Fatal(err)
	}
}

func TestCorruptStateIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "{", `{"version":9}`, `{"version":2,"entries":[{"path":"a","offset":-1}]}`, `{"version":2,"entries":[{"path":"","offset":1}]}`,
		`{"version":2,"entries":[{"path":"a","head":{"size":5000,"sum":"0011223344556677"}}]}`, `{"version":2,"entries":[{"path":"a","edge":{"size":5}}]}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "positions.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var refused *flow.Error
		if _, err := openPositions(dir, slog.New(slog.DiscardHandler)); !errors.As(err, &refused) || refused.Class != flow.Fatal || refused.Code != flow.CodeStateCorrupt {
			t.Errorf("state %q gives %v, want code %s", text, err, flow.CodeStateCorrupt)
		}
	}
}

func TestTheNewestWholeStateCounts(t *testing.T) {
	state := func(sequence, offset int) string {
		return fmt.Sprintf(`{"version":2,"sequence":%d,"entries":[{"path":"a","device":1,"inode":2,"offset":%d}]}`, sequence, offset)
	}
	for name, c := range map[string]struct {
		forced, recent string
		want           int64
	}{
		"the recent one":                     {state(1, 10), state(2, 20), 20},
		"an older recent one":                {state(2, 20), state(1, 10), 20},
		"a recent one that was cut":          {state(1, 10), state(2, 20)[:40], 10},
		"a recent one of a failure of power": {state(1, 10), "\x00\x00\x00", 10},
		"one of version 1":                   {`{"version":1,"files":{"a":{"device":1,"inode":2,"offset":30}}}`, "", 30},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"positions.json": c.forced, "positions.recent.json": c.recent} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := kept(t, dir); got != c.want {
			t.Errorf("%s: the position is %d, want %d", name, got, c.want)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":2,"sequence":7,"entries":[{"path":"a","device":1,"inode":2,"offset":3,"generation":4,"head":{"size":1,"sum":"0011223344556677"}}]}`))
	f.Add([]byte(`{"version":1,"files":{"a":{"device":1,"inode":2,"offset":30}}}`))
	f.Add([]byte(`{"version":2,"entries":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeState(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if diff := cmp.Diff(s, back); diff != "" {
			t.Error(diff)
		}
		for _, e := range s.Entries {
			if e.Offset < 0 || e.Path == "" || e.Head.Size > headSize || e.Edge.Size > edgeSize {
				t.Errorf("an impossible entry was taken: %+v", e)
			}
		}
	})
}

// TestWhatIsSettledBehindAHoleCountsAsUnsaved holds reading back when a kill would repeat more than may be in flight, however much of it is
// settled already.
func TestWhatIsSettledBehindAHoleCountsAsUnsaved(t *testing.T) {
	p, err := openPositions(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	f := p.add("in", identity{device: 1, inode: 1})
	lane := flow.NewLane("in")
	var batches []*flow.Batch
	for i := range 4 {
		b := &flow.Batch{Lane: lane, Records: make([]flow.Record, 10)}
		p.push(b, f, int64(i+1)*100, mark{})
		batches = append(batches, b)
	}
	settled := func(b *flow.Batch) {
		for i := range b.Records {
			b.Records[i].Finish(flow.Delivered)
		}
		if _, err := p.settle(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range batches[1:] {
		settled(b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		p.room(ctx, 10, 40)
		close(done)
	}()
	select {
	case <-done:
		t.Error("there is room for more, though 40 records would be repeated")
	case <-time.After(50 * time.Millisecond):
	}
	settled(batches[0])
	<-done
	cancel()
	if p.unsaved != 0 {
		t.Errorf("%d records are unsaved when all are settled", p.unsaved)
	}
}
