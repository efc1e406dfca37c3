package revision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/millstream/millstream/internal/watch"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// File is a pipeline file as it was loaded.
type File struct {
	Path string
	Text []byte
	// Program is nil when there are errors among Findings.
	Program  *pipelines.Program
	Findings *diag.List
	// Named: the user named this file, and not a directory that it is in.
	Named bool
}

// Set is what one look at all files gave.
type Set struct {
	Files []File // by path
	// Findings are about no file that is loaded, such as one with a name that does not count.
	Findings *diag.List
	// Folders are the directories whose files are among them, or would be.
	Folders []string
	// Read are the files that were read for it, and what they held, the pipeline files among them.
	Read map[string]watch.Sum
	// Err is why nothing can be loaded at all; Files are then empty.
	Err error
}

// Hash is over what was read.
func (s *Set) Hash() string {
	h := sha256.New()
	paths := make([]string, 0, len(s.Read))
	for p := range s.Read {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		sum := s.Read[p]
		_, _ = fmt.Fprintf(h, "%d:%s%x", len(p), p, sum)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// CheckTogether finds what is right in each of several programs and cannot be in one process; the finding is with the later one. It warns
// of topics between them that lack a side, and of circles.
func CheckTogether(programs []*pipelines.Program, findings *diag.List) {
	var t together
	for _, p := range programs {
		for _, f := range t.conflicts(p) {
			findings.Add(f)
		}
		t.add(p)
	}
	checkLocal(programs, findings)
}

// together is a set of programs for one process.
type together struct {
	names map[string]*pipelines.Program
	taken map[string]*pipelines.Program
}

func (t *together) add(p *pipelines.Program) {
	if t.names == nil {
		t.names, t.taken = map[string]*pipelines.Program{}, map[string]*pipelines.Program{}
	}
	if _, twice := t.names[p.Name]; twice {
		return
	}
	t.names[p.Name] = p
	for _, wanted := range exclusive(p) {
		t.taken[wanted.what] = p
	}
}

// conflicts says why a program cannot be added.
func (t *together) conflicts(p *pipelines.Program) []diag.Finding {
	if first, twice := t.names[p.Name]; twice {
		return []diag.Finding{p.Finding(diag.DuplicateName, fmt.Sprintf("the pipeline name %q is taken by %s", p.Name, first.Path),
			"give one of the two another name")}
	}
	var findings []diag.Finding
	for _, wanted := range exclusive(p) {
		if first, twice := t.taken[wanted.what]; twice {
			findings = append(findings, p.FindingAt(wanted.part, diag.ConflictingKey,
				fmt.Sprintf("%s is taken by pipeline %q, and only one can have it", wanted.what, first.Name), "run one of the two in a process of its own"))
		}
	}
	return findings
}

// only is what one holder alone can have at a time, and the part that wants it.
type only struct{ part, what string }

// exclusive lists what only one holder can have at a time.
func exclusive(p *pipelines.Program) []only {
	var all []only
	for i := range p.Sources {
		all = append(all, only{p.Sources[i].Name, p.Sources[i].Traits.Exclusive})
	}
	for i := range p.Sinks {
		all = append(all, only{p.Sinks[i].Name, p.Sinks[i].Traits.Exclusive})
	}
	return slices.DeleteFunc(all, func(wanted only) bool { return wanted.what == "" })
}
