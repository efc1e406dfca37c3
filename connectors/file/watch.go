package file

import (
	"context"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// pollEvery is how often files are looked at when nothing has told of a change: watching misses changes on network and overlay file
	// systems, and is not to be had when the system has run out of watches.
	pollEvery = 500 * time.Millisecond
	// restAtLeast is the pause after each look, so that many small writes are read together. Looking must not take more than a part of
	// the time: the pause is restFactor times as long as the look.
	restAtLeast = 5 * time.Millisecond
	restFactor  = 4
)

// watcher wakes its owner when something in one of its directories changes. It promises nothing: its owner polls besides.
type watcher struct {
	notify *fsnotify.Watcher // nil when the system gives none
	dirs   map[string]bool
	wake   chan struct{}
	ended  chan struct{}
}

func newWatcher(log *slog.Logger) *watcher {
	w := &watcher{dirs: map[string]bool{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Info("changes of files cannot be watched; they are looked at from time to time", "error", err)
		close(w.ended)
		return w
	}
	w.notify = notify
	go w.listen()
	return w
}

func (w *watcher) listen() {
	defer close(w.ended)
	errs := w.notify.Errors
	for {
		select {
		case e, ok := <-w.notify.Events:
			if !ok {
				return
			}
			if e.Op == fsnotify.Chmod {
				continue
			}
		case _, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// watch adds a directory. One that cannot be watched is polled.
func (w *watcher) watch(dir string) {
	if w.notify == nil || w.dirs[dir] {
		return
	}
	if w.notify.Add(dir) == nil {
		w.dirs[dir] = true
	}
}

// wait returns when something has changed, or it is time to look in any case. took is how long the last look took.
func (w *watcher) wait(ctx context.Context, took time.Duration) {
	rest := max(restAtLeast, restFactor*took)
	if !sleep(ctx, rest) {
		return
	}
	timer := time.NewTimer(max(0, pollEvery-rest))
	defer timer.Stop()
	select {
	case <-w.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// sleep reports whether the time has passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close()
	}
	<-w.ended
}
