package revision

import (
	"path/filepath"
	"slices"

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

	files    map[string]string // paths by absolute paths
	absolute map[string]string // absolute paths by paths
	folders  map[string]bool   // absolute paths
}

// candidate is what may run of a file. Of two that cannot be in one process the one with the lower rank does.
type candidate struct {
	file *File
	held
	rank rank
}

// rank says what a candidate gives way to.
type rank int

const (
	runs    rank = iota // it runs already, or ran of this file before
	changed             // it takes the place of what runs
	added               // nothing ran of this file
	stored              // it comes from the store
	nothing             // there is nothing that may run
)

// choose takes each file's program, or what ran of it before where there are errors. What makes no sense together with what runs is an
// error too, wherever it stands: a change of one file never stops the pipeline of another.
func (k *Keeper) choose(set *Set, start bool) *choice {
	c := &choice{
		held: map[string]held{}, good: map[string]*File{}, findings: &diag.List{}, files: map[string]string{}, absolute: map[string]string{},
		folders: map[string]bool{},
	}
	if set.Findings != nil {
		c.findings.Merge(set.Findings)
	}
	for _, folder := range set.Folders {
		c.folders[absolute(folder)] = true
	}
	all := make([]*candidate, len(set.Files))
	for i := range set.Files {
		f := &set.Files[i]
		abs := absolute(f.Path)
		c.files[abs], c.absolute[f.Path] = f.Path, abs
		c.findings.Merge(f.Findings)
		all[i] = &candidate{file: f, held: held{program: f.Program}, rank: added}
		old, had := k.held[f.Path]
		switch {
		case f.Program == nil:
			k.fallBack(all[i])
		case had && old.program.Hash == f.Program.Hash && old.program.Name == f.Program.Name:
			all[i].rank = runs
		case had:
			all[i].rank = changed
		}
	}
	for settled := false; !settled; { // each round takes one candidate back
		settled = k.settle(all, c)
	}
	for _, x := range all {
		if x.rank == nothing {
			c.refused = c.refused || start && x.file.Named
		} else {
			c.held[x.file.Path] = x.held
			c.programs = append(c.programs, x.program)
		}
		if x.program == x.file.Program && x.program != nil {
			c.good[x.program.Name] = x.file
		} else {
			c.broken = append(c.broken, x.file.Path)
		}
	}
	checkLocal(c.programs, c.findings)
	return c
}

// settle looks for a candidate that cannot be in one process with those before it, and puts what ran before in its place; true when there
// is none.
func (k *Keeper) settle(all []*candidate, c *choice) bool {
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b *candidate) int { return int(a.rank - b.rank) })
	var t together
	for _, x := range ordered {
		if x.rank == nothing {
			break
		}
		conflicts := t.conflicts(x.program)
		if len(conflicts) == 0 || x.rank == runs {
			t.add(x.program)
			continue
		}
		if x.program == x.file.Program {
			c.findings.AddSource(x.file.Path, x.file.Text)
			for _, f := range conflicts {
				c.findings.Add(f)
			}
		}
		k.fallBack(x)
		return false
	}
	return true
}

// fallBack puts what ran before in a candidate's place.
func (k *Keeper) fallBack(x *candidate) {
	path := x.file.Path
	if h, have := k.held[path]; have {
		h.older = true
		x.held, x.rank = h, runs
		return
	}
	if x.rank < stored {
		if program := k.fromStore(path); program != nil {
			x.held, x.rank = held{program: program, older: true, stored: true}, stored
			return
		}
	}
	x.held, x.rank = held{}, nothing
}

// fromStore is what ran of a file before this process; nil when there is nothing, or it cannot run any more.
func (k *Keeper) fromStore(path string) *pipelines.Program {
	if k.opts.Store == nil || k.opts.Compile == nil {
		return nil
	}
	kept, have := k.opts.Store.ByPath(absolute(path))
	if !have {
		return nil
	}
	program, findings := k.opts.Compile(path, []byte(kept.Text))
	if program == nil {
		k.opts.Logger.Error("the last good revision has errors too, perhaps in files that it reads", "pipeline", kept.Pipeline,
			"path", path, "errors", findings.ErrorCount())
		return nil
	}
	if program.Name != kept.Pipeline {
		return nil
	}
	return program
}

// gone tells whether what is kept is of a file that was in one of the folders and no longer is, or has another pipeline now.
func (c *choice) gone(kept Kept) bool {
	path, there := c.files[kept.Path]
	if !there {
		return c.folders[filepath.Dir(kept.Path)]
	}
	h, runs := c.held[path]
	return runs && h.program.Name != kept.Pipeline // one that is broken keeps what there is of it
}
