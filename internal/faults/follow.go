package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// FollowPlan is a kill test of a file that is followed: while a process is killed again and again, a writer appends to the file, line by
// line and in halves, renames it, and cuts it.
type FollowPlan struct {
	Binary string
	Dir    string
	Run    string
	Kills  int
	// Most is how many messages there can be; Keys how many keys they have.
	Most, Keys int
	Rand       *rand.Rand
	// Patience bounds how long nothing new may come while messages are missing.
	Patience time.Duration

	// Renamed and Cut count what the writer has done.
	Renamed, Cut int
}

func (f *FollowPlan) pipeline() string {
	return fmt.Sprintf(`name: faults-follow
limits: { in_flight: %d }
from: { file: { path: in.log, follow: true } }
steps:
  - filter: body.id >= 0
to: { file: { path: out.ndjson, rotate: { size: 4MiB }, sync: none } }
`, InFlight)
}

// Execute kills the process Kills times, lets a last one finish, and returns what the checker says.
func (f *FollowPlan) Execute() (Verdict, error) {
	file := filepath.Join(f.Dir, "pipeline.yaml")
	if err := os.WriteFile(file, []byte(f.pipeline()), 0o600); err != nil {
		return Verdict{}, err
	}
	w := &rotatingWriter{plan: f, lines: Generate(f.Run, f.Most, f.Keys), out: arrivals{dir: f.Dir, seen: make([]bool, f.Most)}, rand: rand.New(rand.NewPCG(f.Rand.Uint64(), 0))} //nolint:gosec // no secret
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.run(stop) }()
	kills := 0
	for range f.Kills {
		p, err := Start(f.Binary, f.Dir, file, "")
		if err != nil {
			return Verdict{}, err
		}
		if p.WaitExit(time.Duration(50+f.Rand.IntN(600)) * time.Millisecond) {
			return Verdict{}, fmt.Errorf("the process ended by itself with %d\n%s", p.Code(), p.Log())
		}
		p.Kill()
		kills++
	}
	close(stop)
	if err := <-ended; err != nil {
		return Verdict{}, err
	}
	v, err := f.finish(file, w)
	v.Kills = kills
	return v, err
}

// finish runs without faults until everything has come, then ends the process in order and looks at all that came.
func (f *FollowPlan) finish(file string, w *rotatingWriter) (Verdict, error) {
	p, err := Start(f.Binary, f.Dir, file, "")
	if err != nil {
		return Verdict{}, err
	}
	defer p.Kill()
	count, deadline := -1, time.Now().Add(f.Patience)
	for w.out.count < w.next {
		if err := w.out.look(nil); err != nil {
			return Verdict{}, err
		}
		if w.out.count > count {
			count, deadline = w.out.count, time.Now().Add(f.Patience)
		}
		if time.Now().After(deadline) {
			return Verdict{}, fmt.Errorf("%d of %d messages came, and none for %s\n%s", w.out.count, w.next, f.Patience, p.Dump())
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.Terminate()
	if !p.WaitExit(20*time.Second) || p.Code() != 0 {
		return Verdict{}, fmt.Errorf("the process did not end well after SIGTERM\n%s", p.Log())
	}
	c := NewChecker(f.Run, w.next)
	again := arrivals{dir: f.Dir, seen: make([]bool, f.Most)}
	if err := again.look(c.Take); err != nil {
		return Verdict{}, err
	}
	if again.torn {
		return c.Verdict(), errors.New("the last line has no end")
	}
	return c.Verdict(), nil
}

// rotatingWriter writes the file that is followed.
type rotatingWriter struct {
	plan  *FollowPlan
	lines [][]byte
	next  int // the line to write
	first int // the first line of the file that is written now
	file  *os.File
	out   arrivals
	rand  *rand.Rand
}

func (w *rotatingWriter) run(stop chan struct{}) (err error) {
	if err := w.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.file.Close()) }()
	for w.next < len(w.lines)-200 {
		select {
		case <-stop:
			return nil
		case <-time.After(time.Millisecond):
		}
		if err := w.write(1 + w.rand.IntN(60)); err != nil {
			return err
		}
		if w.rand.IntN(40) > 0 {
			continue
		}
		if err := w.out.look(nil); err != nil {
			return err
		}
		if err := w.rotate(stop); err != nil {
			return err
		}
	}
	return errors.New("there are not enough messages for so many kills")
}

func (w *rotatingWriter) open() (err error) {
	w.file, err = os.OpenFile(filepath.Join(w.plan.Dir, "in.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return err
}

// write writes some lines, the last of them in halves.
func (w *rotatingWriter) write(n int) error {
	var b []byte
	for range n {
		b = append(append(b, w.lines[w.next]...), '\n')
		w.next++
	}
	half := len(b) - 1 - w.rand.IntN(len(w.lines[w.next-1]))
	if _, err := w.file.Write(b[:half]); err != nil {
		return err
	}
	if w.rand.IntN(10) == 0 {
		time.Sleep(time.Millisecond)
	}
	_, err := w.file.Write(b[half:])
	return err
}

// rotate renames the file once something of it has come out, so that it is known to the process, or cuts it once all of it has: what is
// cut away unread is gone for everybody.
func (w *rotatingWriter) rotate(stop chan struct{}) error {
	path := filepath.Join(w.plan.Dir, "in.log")
	if w.next == w.first || !w.out.seen[w.first] {
		return nil
	}
	if w.rand.IntN(3) > 0 {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
		// Whoever writes does so for a moment, before the new file is there.
		if err := errors.Join(w.write(1+w.rand.IntN(20)), w.file.Close()); err != nil {
			return err
		}
		w.first = w.next
		w.plan.Renamed++
		return w.open()
	}
	for w.out.count < w.next {
		select {
		case <-stop:
			return nil
		case <-time.After(5 * time.Millisecond):
		}
		if err := w.out.look(nil); err != nil {
			return err
		}
	}
	w.first = w.next
	w.plan.Cut++
	return w.file.Truncate(0)
}

// arrivals reads what comes out, in files that are rotated.
type arrivals struct {
	dir   string
	done  map[string]bool // files that were rotated and read to their end
	at    int64           // in the file that is written
	seen  []bool
	count int
	torn  bool // the last look has found a line without an end
}

// look takes what is new. Only files that were rotated are taken while the process writes; the last one as far as its lines are whole.
func (a *arrivals) look(take func([]byte)) error {
	rotated, err := filepath.Glob(filepath.Join(a.dir, "out.ndjson.*"))
	if err != nil {
		return err
	}
	if a.done == nil {
		a.done = map[string]bool{}
	}
	for _, name := range rotated {
		if a.done[name] {
			continue
		}
		if err := a.read(name, take); err != nil {
			return err
		}
		a.done[name], a.at = true, 0
	}
	before, err := filepath.Glob(filepath.Join(a.dir, "out.ndjson.*"))
	if err != nil || len(before) != len(rotated) {
		return err // it was rotated meanwhile; the next look reads on
	}
	err = a.read(filepath.Join(a.dir, "out.ndjson"), take)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (a *arrivals) read(name string, take func([]byte)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.NewSectionReader(f, a.at, 1<<40))
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(b, '\n') + 1
	a.torn = whole < len(b)
	for line := range bytes.Lines(b[:whole]) {
		var r Record
		if json.Unmarshal(line, &r) == nil && r.ID >= 0 && r.ID < len(a.seen) && !a.seen[r.ID] {
			a.seen[r.ID] = true
			a.count++
		}
		if take != nil {
			take(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	a.at += int64(whole)
	return nil
}
