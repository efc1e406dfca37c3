package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
)

// disk is a directory with one file and those it was rotated to, in memory. What was not synced is lost, or torn, when the power fails,
// and calls fail at random.
type disk struct {
	rng  *rand.Rand
	name string
	now  map[string]*content // the names as a process sees them
	safe map[string]*content // the names that last
	room int                 // bytes that the disk still takes
	// calls until the power fails; every call counts.
	left int
}

// content is a file without its name.
type content struct {
	data   []byte
	synced int // so many bytes of it last
	mtime  time.Time
}

var errPower = errors.New("the power has failed")

// fails decides about one call.
func (d *disk) fails(chance int, err error) error {
	if d.left--; d.left < 0 {
		return errPower
	}
	if chance > 0 && d.rng.IntN(chance) == 0 {
		return err
	}
	return nil
}

// fail is what the power failure leaves: the names that were synced or not, and of each file what was synced with some of what came
// behind.
func (d *disk) fail() {
	next := map[string]*content{}
	for name, c := range d.safe {
		next[name] = c
	}
	if d.rng.IntN(2) == 0 { // the directory was written by itself
		next = map[string]*content{}
		for name, c := range d.now {
			next[name] = c
		}
	}
	for _, c := range next {
		keep := c.synced
		if keep > len(c.data) {
			keep = len(c.data)
		}
		c.data = c.data[:keep+d.rng.IntN(len(c.data)-keep+1)]
		c.synced = len(c.data)
	}
	d.now, d.safe = next, map[string]*content{}
	for name, c := range next {
		d.safe[name] = c
	}
}

func (d *disk) path() string { return d.name }

func (d *disk) open(int) (handle, bool, error) {
	if err := d.fails(30, syscall.EIO); err != nil {
		return nil, false, err
	}
	c, ok := d.now[d.name]
	if !ok {
		c = &content{}
		d.now[d.name] = c
	}
	return &opened{disk: d, content: c}, !ok, nil
}

func (d *disk) named(h handle) bool {
	o, ok := h.(*opened)
	return ok && d.now[d.name] == o.content
}

func (d *disk) rename(name string) error {
	if err := d.fails(30, syscall.EIO); err != nil {
		return err
	}
	d.now[name] = d.now[d.name]
	delete(d.now, d.name)
	return nil
}

func (d *disk) taken(name string) bool { return d.now[name] != nil }

func (d *disk) syncDirs() error {
	if err := d.fails(30, syscall.EIO); err != nil {
		return err
	}
	d.safe = map[string]*content{}
	for name, c := range d.now {
		d.safe[name] = c
	}
	return nil
}

type opened struct {
	*disk
	*content
}

// Write writes all, or a part when the disk is full or the power fails.
func (o *opened) Write(p []byte) (int, error) {
	n, err := len(p), o.fails(40, syscall.EIO)
	if err != nil {
		n = o.rng.IntN(len(p) + 1)
	}
	if n > o.room {
		n, err = o.room, syscall.ENOSPC
		o.room = 40 + o.rng.IntN(2000) // somebody makes room
	} else {
		o.room -= n
	}
	o.data = append(o.data, p[:n]...)
	o.mtime = time.Now()
	return n, err
}

func (o *opened) ReadAt(p []byte, at int64) (int, error) {
	if err := o.fails(60, syscall.EIO); err != nil {
		return 0, err
	}
	return bytes.NewReader(o.data).ReadAt(p, at)
}

func (o *opened) Truncate(size int64) error {
	if err := o.fails(20, syscall.EIO); err != nil {
		return err
	}
	o.data = o.data[:size]
	o.synced = min(o.synced, len(o.data))
	return nil
}

// Sync fails at times, and then nobody knows how much of it lasts.
func (o *opened) Sync() error {
	if err := o.fails(20, syscall.EIO); err != nil {
		o.synced += o.rng.IntN(len(o.data) - min(o.synced, len(o.data)) + 1)
		return err
	}
	o.synced = len(o.data)
	return nil
}

func (o *opened) Close() error { return nil }

func (o *opened) Stat() (fs.FileInfo, error) {
	if err := o.fails(60, syscall.EIO); err != nil {
		return nil, err
	}
	return fileInfo{size: int64(len(o.data)), mtime: o.mtime}, nil
}

type fileInfo struct {
	size  int64
	mtime time.Time
}

func (f fileInfo) Name() string       { return "out" }
func (f fileInfo) Size() int64        { return f.size }
func (f fileInfo) Mode() fs.FileMode  { return 0 }
func (f fileInfo) ModTime() time.Time { return f.mtime }
func (f fileInfo) IsDir() bool        { return false }
func (f fileInfo) Sys() any           { return nil }

// lines are what a reader finds in all files, the oldest first.
func (d *disk) lines() []string {
	var all []byte
	names := []string{}
	for name := range d.now {
		if name != d.name {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(slices.Values(names)) { // which sorts them by age
		all = append(all, d.now[name].data...)
	}
	if c := d.now[d.name]; c != nil {
		all = append(all, c.data...)
	}
	return strings.Split(strings.TrimSuffix(string(all), "\n"), "\n")
}

// TestSimulationOfPowerFailures writes numbered lines in order and repeats what fails, through errors, a full disk and failures of the
// power: what was confirmed is there afterwards, whole, in order, and nothing else than what was sent.
func TestSimulationOfPowerFailures(t *testing.T) {
	seeds := 300
	if n, err := strconv.Atoi(os.Getenv("MILLSTREAM_SIM_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		if err := simulatePower(uint64(seed)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func simulatePower(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 3))
	d := &disk{rng: rng, name: "out", now: map[string]*content{}, safe: map[string]*content{}, room: 500}
	how := manner{sync: []string{"batch", syncEvery}[rng.IntN(2)], log: slog.New(slog.DiscardHandler)}
	if rng.IntN(2) == 0 {
		how.rotate.size = int64(20 + rng.IntN(300))
	}
	confirmed, next := 0, 0
	for range 6 {
		d.left = 20 + rng.IntN(200)
		clock := time.Now()
		a := &appender{at: d, name: flow.ConfigError, now: func() time.Time { return clock }}
		next = confirmed // what was not confirmed comes again
		for d.left >= 0 {
			outs := make([]*flow.Outgoing, 1+rng.IntN(8))
			for i := range outs {
				outs[i] = &flow.Outgoing{Body: []byte(lineOf(next + i)), Err: io.EOF}
			}
			a.append(outs, how)
			for _, o := range outs {
				if errors.Is(o.Err, io.EOF) {
					return errors.New("a result was forgotten")
				}
				if o.Err != nil {
					break
				}
				next++
			}
			confirmed = next
		}
		d.fail()
		if err := judge(d.lines(), confirmed); err != nil {
			return fmt.Errorf("%w\n%s", err, strings.Join(d.lines(), "\n"))
		}
	}
	return nil
}

func lineOf(n int) string { return fmt.Sprintf("%d-%s", n, strings.Repeat("x", n*7%23)) }

// judge reads what is there: each confirmed line, in order, repeats aside; the last line may be torn, which the next opening cuts.
func judge(lines []string, confirmed int) error {
	due := 0
	for i, line := range lines {
		number, _, _ := strings.Cut(line, "-")
		n, err := strconv.Atoi(number)
		if whole := err == nil && line == lineOf(n); !whole {
			if i == len(lines)-1 {
				break
			}
			return fmt.Errorf("line %d is torn: %q", i, line)
		}
		if n > due {
			return fmt.Errorf("line %d is %d, and %d was due", i, n, due)
		}
		due = max(due, n+1)
	}
	if due < confirmed {
		return fmt.Errorf("%d lines were confirmed, and %d are there", confirmed, due)
	}
	return nil
}
