// Package diag holds findings: what is wrong in a pipeline file, where, and what to write instead. It sorts them,
// removes repeats and prints them as text with the source line and a caret, as JSON, and as GitHub workflow commands.
//
// It does not look for mistakes itself, and it is not for errors at run time: those are wrapped Go errors.
package diag

import (
	"cmp"
	"slices"
)

// Severity says whether a finding stops a pipeline from running.
type Severity int

const (
	// Error is a finding that makes the file invalid.
	Error Severity = iota
	// Warning is a finding the file may run with.
	Warning
)

// String returns the word the printers show: "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Finding is one mistake at one place. Line and Col count from 1, Col and Width in runes; a byte order mark at the start
// of the file is not counted. Message is one line without a full stop, lower case; Hint says what to write instead and
// Note adds where else to look (an alias, a second place). Hint and Note may be empty and may have several lines.
type Finding struct {
	Path      string
	Line, Col int
	Width     int
	Severity  Severity
	Code      Code
	Message   string
	Hint      string
	Note      string
}

// List collects the findings of a run, with the source text of the files they are in. The zero value is ready to use.
// It is not safe for concurrent use.
type List struct {
	findings []Finding
	seen     map[identity]bool
	sources  map[string]source
	errors   int
}

// source is the text of a file, with what of a line of it must not be shown; hide may be nil.
type source struct {
	text []byte
	hide func(line string) [][2]int
}

// identity is what makes two findings the same mistake: hint and note may differ, as when one text is reached directly
// and through an alias.
type identity struct {
	path      string
	line, col int
	severity  Severity
	code      Code
	message   string
}

// AddSource remembers the text of a file so that the text printer can show lines of it.
func (l *List) AddSource(path string, text []byte) {
	l.addSource(path, source{text: text})
}

func (l *List) addSource(path string, s source) {
	if l.sources == nil {
		l.sources = map[string]source{}
	}
	l.sources[path] = s
}

// Hide has *** shown in place of parts of the lines of all files added so far: hide gives the bytes of a line where they begin and end,
// in order and apart from each other.
func (l *List) Hide(hide func(line string) [][2]int) {
	for path, s := range l.sources {
		s.hide = hide
		l.sources[path] = s
	}
}

// Add takes a finding into the list unless the same mistake is there already. Positions below 1 are raised to 1.
func (l *List) Add(f Finding) {
	f.Line, f.Col, f.Width = max(f.Line, 1), max(f.Col, 1), max(f.Width, 1)
	id := identity{f.Path, f.Line, f.Col, f.Severity, f.Code, f.Message}
	if l.seen[id] {
		return
	}
	if l.seen == nil {
		l.seen = map[identity]bool{}
	}
	l.seen[id] = true
	if f.Severity == Error {
		l.errors++
	}
	l.findings = append(l.findings, f)
}

// Merge adds every finding and source of other.
func (l *List) Merge(other *List) {
	for path, s := range other.sources {
		l.addSource(path, s)
	}
	for _, f := range other.findings {
		l.Add(f)
	}
}

// Rewrite puts what f gives in place of every text of the findings.
func (l *List) Rewrite(f func(text string) string) {
	for i := range l.findings {
		x := &l.findings[i]
		x.Message, x.Hint, x.Note = f(x.Message), f(x.Hint), f(x.Note)
	}
}

// All returns the findings sorted by path, line, column, severity, code and message.
func (l *List) All() []Finding {
	sorted := slices.Clone(l.findings)
	slices.SortStableFunc(sorted, compare)
	return sorted
}

// Errors returns the sorted findings that are errors.
func (l *List) Errors() []Finding {
	return slices.DeleteFunc(l.All(), func(f Finding) bool { return f.Severity != Error })
}

// HasErrors tells whether any finding is an error.
func (l *List) HasErrors() bool { return l.errors > 0 }

// ErrorCount is the number of errors so far; callers compare it before and after a step to see whether the step failed.
func (l *List) ErrorCount() int { return l.errors }

// Len is the number of findings, warnings included.
func (l *List) Len() int { return len(l.findings) }

func compare(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Col, b.Col),
		cmp.Compare(a.Severity, b.Severity),
		cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Message, b.Message),
	)
}
