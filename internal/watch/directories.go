package watch

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// directories gets the events of the directories in which a change may show. Directories are watched and not files, since a file that is
// saved by renaming is another file afterwards; and of links each step, since any of them may be laid anew.
type directories struct {
	watcher *fsnotify.Watcher
	match   func(name string) bool
	log     *slog.Logger
	watched map[string]*directory // by path, free of links
	failed  map[string]bool       // could not be watched, which has been said
}

// directory is one that is watched.
type directory struct {
	info fs.FileInfo
	// names are what counts in it; all: what match takes counts too.
	names map[string]bool
	all   bool
}

func newDirectories(watcher *fsnotify.Watcher, match func(name string) bool, log *slog.Logger) *directories {
	return &directories{watcher: watcher, match: match, log: log, watched: map[string]*directory{}, failed: map[string]bool{}}
}

func (d *directories) events() <-chan fsnotify.Event {
	if d == nil {
		return nil
	}
	return d.watcher.Events
}

func (d *directories) errors() <-chan error {
	if d == nil {
		return nil
	}
	return d.watcher.Errors
}

func (d *directories) close() { _ = d.watcher.Close() }

// concerns tells whether an event may have changed what is watched.
func (d *directories) concerns(e fsnotify.Event) bool {
	if _, itself := d.watched[e.Name]; itself {
		return true
	}
	dir, known := d.watched[filepath.Dir(e.Name)]
	if !known {
		return false
	}
	name := filepath.Base(e.Name)
	return dir.names[name] || dir.all && d.match(name)
}

// follow watches what paths and files now lead through, and nothing else.
func (d *directories) follow(paths []string, files map[string]Sum) {
	wanted := map[string]*directory{}
	note := func(dir, name string) *directory {
		w := wanted[dir]
		if w == nil {
			w = &directory{names: map[string]bool{}}
			wanted[dir] = w
		}
		if name != "" {
			w.names[name] = true
		}
		return w
	}
	folders := map[string]string{} // as they are written → free of links
	folder := func(path string) string {
		at, known := folders[path]
		if !known {
			at = trace(path, func(dir, name string) { note(dir, name) })
			folders[path] = at
		}
		return at
	}
	file := func(path string) {
		at := folder(filepath.Dir(path))
		if at == "" {
			return
		}
		note(at, filepath.Base(path))
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			trace(path, func(dir, name string) { note(dir, name) })
		}
	}
	for _, p := range paths {
		if info, err := os.Stat(p); err != nil || !info.IsDir() {
			file(p)
			continue
		}
		if at := folder(p); at != "" {
			note(at, "").all = true
		}
	}
	for p := range files {
		file(p)
	}
	d.watch(wanted)
}

// watch makes wanted what is watched. A directory that was put in another's place is watched anew: what is watched is the directory, not
// its path.
func (d *directories) watch(wanted map[string]*directory) {
	alive := map[string]bool{}
	for _, path := range d.watcher.WatchList() {
		alive[path] = true
		if wanted[path] == nil {
			_ = d.watcher.Remove(path) // it may be gone
		}
	}
	for path, w := range wanted {
		info, err := os.Stat(path)
		if err != nil {
			delete(wanted, path)
			continue
		}
		w.info = info
		if was := d.watched[path]; alive[path] && was != nil && os.SameFile(was.info, info) {
			continue
		}
		_ = d.watcher.Remove(path) // it may not be watched
		if err := d.watcher.Add(path); err != nil {
			delete(wanted, path)
			if !d.failed[path] {
				d.failed[path] = true
				d.log.Warn("no events of a directory; changes in it are found by looking", "directory", path, "error", err)
			}
		}
	}
	d.watched = wanted
}

// maxLinks is how many links a path may lead through.
const maxLinks = 40

// trace goes along a path and notes each name that decides where it leads: links, and the last one. It returns the path without links;
// empty when it leads nowhere, and then what is missing is the last that was noted.
func trace(path string, note func(dir, name string)) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	at, rest := string(filepath.Separator), split(abs)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			note(at, name)
			return ""
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			note(at, name)
			target, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return ""
			}
			if filepath.IsAbs(target) {
				at = string(filepath.Separator)
			}
			rest = append(split(target), rest...)
			continue
		}
		if len(rest) == 0 {
			note(at, name)
		}
		at = next
	}
	return at
}

func split(path string) []string { return strings.Split(path, string(filepath.Separator)) }
