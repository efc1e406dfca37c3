package watch

import (
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options of a watcher; the zero value is usable.
type Options struct {
	// Match chooses by name which files of a directory count; nil takes all.
	Match func(name string) bool
	// Quiet is how long nothing may happen before a change is told, 100 ms when 0; Longest bounds the wait for quiet, 1 s when 0.
	Quiet, Longest time.Duration
	// Poll is how often it looks without being told to, 1 s when 0.
	Poll time.Duration
	// NoEvents leaves the events of the file system out, as where there are none.
	NoEvents bool
	// Logger is told when events are not to be had; slog.Default() when nil.
	Logger *slog.Logger
}

// Watcher watches until it is closed.
type Watcher struct {
	opts    Options
	paths   []string
	changes chan struct{}
	woken   chan struct{}
	stop    chan struct{}
	ended   chan struct{}
	looker  *looker
	dirs    *directories // nil without events

	mu    sync.Mutex
	taken map[string]Sum // what the user has read; nil until it has told
	round int            // how often the user has told

	told tale
}

// tale is the last change that was told.
type tale struct {
	files map[string]Sum
	round int       // in which round of the user's
	again int       // how often the same was told
	next  time.Time // before this it is not told again
}

// New watches files and directories by their paths, whether they are there or not. A directory stands for the files in it that Match takes,
// but for hidden ones; what is below it does not count.
func New(paths []string, o Options) *Watcher {
	if o.Match == nil {
		o.Match = func(string) bool { return true }
	}
	o.Quiet, o.Longest, o.Poll = positive(o.Quiet, 100*time.Millisecond), positive(o.Longest, time.Second), positive(o.Poll, time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	w := &Watcher{
		opts: o, changes: make(chan struct{}, 1), woken: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
		looker: newLooker(o.Match),
	}
	for _, p := range paths {
		w.paths = append(w.paths, filepath.Clean(p))
	}
	if !o.NoEvents {
		events, err := fsnotify.NewWatcher()
		if err != nil {
			o.Logger.Warn("no events of the file system; changes are found by looking", "every", o.Poll, "error", err)
		} else {
			w.dirs = newDirectories(events, o.Match, o.Logger)
		}
	}
	go w.live()
	return w
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// Took tells what its user has read, by path, a file that could not be read with the zero Sum. Nothing is told before the first call. Of
// the watched paths all must be among files; what else is among them is watched as well, until the next call.
func (w *Watcher) Took(files map[string]Sum) {
	w.mu.Lock()
	w.taken = files
	w.round++
	w.mu.Unlock()
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// Changes gives a value when the files are no longer as they were taken, and have been left alone for a while. What is told while nobody
// listens is kept, once.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Close ends the watching and returns when nothing of it is left.
func (w *Watcher) Close() {
	close(w.stop)
	<-w.ended
}

func (w *Watcher) taking() (files map[string]Sum, round int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken, w.round
}

// everyWhole is after how many looks one does not trust sizes and times.
const everyWhole = 30

func (w *Watcher) live() {
	defer close(w.ended)
	if w.dirs != nil {
		defer w.dirs.close()
	}
	poll := time.NewTicker(w.opts.Poll)
	defer poll.Stop()
	for looks := 1; ; looks++ {
		select {
		case <-w.stop:
			return
		case e := <-w.dirs.events():
			if !w.dirs.concerns(e) {
				continue
			}
		case err := <-w.dirs.errors():
			w.opts.Logger.Debug("events of the file system were lost; everything is looked at", "error", err)
		case <-w.woken:
			w.follow()
		case <-poll.C:
			if looks%everyWhole == 0 {
				w.looker.distrust()
			}
			w.follow()
			if files, _ := w.taking(); maps.Equal(w.looker.look(w.paths, files), files) {
				continue
			}
		}
		if !w.settle() {
			return
		}
	}
}

// follow watches the directories in which something may happen.
func (w *Watcher) follow() {
	if w.dirs != nil {
		files, _ := w.taking()
		w.dirs.follow(w.paths, files)
	}
}

// settle waits until the files are left alone and tells a change; false when the watcher is closed.
func (w *Watcher) settle() bool {
	files, _ := w.taking()
	w.looker.distrust()
	for end, last := time.Now().Add(w.opts.Longest), w.looker.look(w.paths, files); ; {
		alone, open := w.quiet(end)
		if !open {
			return false
		}
		w.follow() // what has been put in another's place is followed before it is looked at
		w.looker.distrust()
		files, _ = w.taking()
		now := w.looker.look(w.paths, files)
		if alone && maps.Equal(now, last) || !time.Now().Before(end) {
			w.tell(now)
			return true
		}
		last = now
	}
}

// quiet waits until nothing has happened for a while, or until end. open is false when the watcher is closed.
func (w *Watcher) quiet(end time.Time) (alone, open bool) {
	limit := time.NewTimer(time.Until(end))
	defer limit.Stop()
	calm := time.NewTimer(w.opts.Quiet)
	defer calm.Stop()
	for {
		select {
		case <-w.stop:
			return false, false
		case <-calm.C:
			return true, true
		case <-limit.C:
			return false, true
		case e := <-w.dirs.events():
			if w.dirs.concerns(e) {
				calm.Reset(w.opts.Quiet)
			}
		case err := <-w.dirs.errors():
			w.opts.Logger.Debug("events of the file system were lost", "error", err)
		}
	}
}

// longestRepeat is the longest pause between two times that the same is told.
const longestRepeat = time.Minute

// tell tells that the files are not as they were taken. When they were taken since the last time and are the same still, what was read and
// what is found disagree for a reason of their own, and the same is told with growing pauses.
func (w *Watcher) tell(now map[string]Sum) {
	files, round := w.taking()
	if files == nil || maps.Equal(now, files) {
		return
	}
	t := &w.told
	if maps.Equal(now, t.files) {
		if t.round == round || time.Now().Before(t.next) {
			return
		}
		t.again++
	} else {
		t.again = 0
	}
	t.files, t.round = now, round
	t.next = time.Now().Add(min(time.Second<<min(t.again, 6), longestRepeat))
	select {
	case w.changes <- struct{}{}:
	default:
	}
}
