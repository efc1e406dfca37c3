package main

import (
	"maps"
	"sync"

	"github.com/millstream/millstream/internal/watch"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// compiled remembers compilations between reloads, so that of many files only those are compiled that have changed. It may be used
// concurrently.
type compiled struct {
	// running lists the programs that run well. Others are compiled anew, so that they start as if for the first time.
	running func() map[*pipelines.Program]bool

	mu    sync.Mutex
	files map[string]*compilation
	env   map[string]watch.Sum // of the files with variables that it was compiled with
}

// compilation is what came of one file.
type compilation struct {
	program  *pipelines.Program
	findings *diag.List
	text     []byte
	read     map[string]watch.Sum // with the file itself
	set      map[string]bool      // the names of --set that it has
}

func newCompiled(running func() map[*pipelines.Program]bool) *compiled {
	return &compiled{running: running, files: map[string]*compilation{}}
}

// note notes a file that was read; what was read first counts.
func (c *compilation) note(path string, content []byte) {
	if _, already := c.read[path]; already {
		return
	}
	c.read[path] = watch.Sum{}
	if content != nil {
		c.read[path] = watch.SumOf(content)
	}
}

// begin forgets what does not run, and everything when variables come from other files, or from files with another content.
func (c *compiled) begin(env map[string]watch.Sum) {
	running := c.running()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !maps.Equal(c.env, env) {
		c.env, c.files = env, map[string]*compilation{}
	}
	maps.DeleteFunc(c.files, func(_ string, was *compilation) bool { return !running[was.program] })
}

// find finds a compilation that would be the same again.
func (c *compiled) find(path string) (was *compilation, same bool) {
	c.mu.Lock()
	was = c.files[path]
	c.mu.Unlock()
	if was == nil {
		return nil, false
	}
	for file, sum := range was.read {
		if sum == (watch.Sum{}) || watch.SumFile(file) != sum {
			return nil, false
		}
	}
	return was, true
}

// keep remembers a compilation until the next begin, and longer when it runs by then.
func (c *compiled) keep(path string, now *compilation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files[path] = now
}

// again notes what the compilation of a file read as if it had been read now.
func (l *loading) again(path string, was *compilation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts[path] = was.text
	for file, sum := range was.read {
		if _, already := l.read[file]; !already {
			l.read[file] = sum
		}
	}
	for name := range was.set {
		l.set[name] = true
	}
}
