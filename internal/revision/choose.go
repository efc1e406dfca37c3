package revision

import (
	"path/filepath"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// choice is what is to run.
type choice struct {
	programs []*pipelines.Program
	held     map[string]held  // by path
	good     map[string]*File // by pipeline: the files that run as they are
	broken   []string
	findings *diag.List
	// refused: a file that the user named has errors at the start, and nothing to start instead.
	refused bool

	files, folders map[string]bool // absolute paths
}

// choose takes each file's program, or what ran of it before where there are errors. What runs already goes first when two cannot be in
// one process.
func (k *Keeper) choose(set *Set, start bool) *choice {
	c := &choice{held: map[string]held{}, good: map[string]*File{}, findings: &diag.List{}, files: map[string]bool{}, folders: map[string]bool{}}
	if set.Findings != nil {
		c.findings.Merge(set.Findings)
	}
	for _, folder := range set.Folders {
		c.folders[absolute(folder)] = true
	}
	running := map[string]bool{}
	for path, h := range k.held {
		running[path+"\x00"+h.program.Name] = true
	}
	var first, second []*File
	for i := range set.Files {
		f := &set.Files[i]
		c.files[absolute(f.Path)] = true
		c.findings.Merge(f.Findings)
		if f.Program == nil || running[f.Path+"\x00"+f.Program.Name] {
			first = append(first, f)
		} else {
			second = append(second, f)
		}
	}
	var t together
	for _, f := range append(first, second...) {
		if f.Program != nil {
			conflicts := t.conflicts(f.Program)
			if len(conflicts) == 0 {
				t.add(f.Program)
				c.held[f.Path], c.good[f.Program.Name] = held{program: f.Program}, f
				continue
			}
			c.findings.AddSource(f.Path, f.Text)
			for _, finding := range conflicts {
				c.findings.Add(finding)
			}
		}
		c.broken = append(c.broken, f.Path)
		old, have := k.before(f.Path)
		switch {
		case have && len(t.conflicts(old.program)) == 0:
			t.add(old.program)
			c.held[f.Path] = old
		case start && f.Named:
			c.refused = true
		}
	}
	c.programs = t.programs
	return c
}

// before is what ran of a file, in this process or before it.
func (k *Keeper) before(path string) (held, bool) {
	if h, have := k.held[path]; have {
		h.older = true
		return h, true
	}
	if k.opts.Store == nil || k.opts.Compile == nil {
		return held{}, false
	}
	kept, have := k.opts.Store.ByPath(absolute(path))
	if !have {
		return held{}, false
	}
	program, findings := k.opts.Compile(path, []byte(kept.Text))
	if program == nil {
		k.opts.Logger.Error("the last good revision has errors too, perhaps in files that it reads", "pipeline", kept.Pipeline,
			"path", path, "errors", findings.ErrorCount())
		return held{}, false
	}
	if program.Name != kept.Pipeline {
		return held{}, false
	}
	return held{program: program, older: true, stored: true}, true
}

// gone tells whether what is kept is of a file that was in one of the folders and no longer is, or has another pipeline now.
func (c *choice) gone(kept Kept) bool {
	if !c.files[kept.Path] {
		return c.folders[filepath.Dir(kept.Path)]
	}
	for path, h := range c.held {
		if absolute(path) == kept.Path {
			return h.program.Name != kept.Pipeline
		}
	}
	return false // it is broken, and this is what there is of it
}
