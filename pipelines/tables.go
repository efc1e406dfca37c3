package pipelines

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/table"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// tableEntry is an entry of tables as written.
type tableEntry struct {
	File    yamldoc.Text      `yaml:"file" required:"true"`
	Key     yamldoc.Text      `yaml:"key" required:"true"`
	Types   map[string]string `yaml:"types" oneof:"int float bool string"`
	Refresh *time.Duration    `yaml:"refresh"`
}

// tables are the tables of a file, by name.
type tables struct {
	byName map[string]*table.Table
	names  []string
	keys   map[string]yamldoc.Scalar
	// read are the tables that an expression reads; allRead: any may be.
	read    map[string]bool
	allRead bool
	// sums are name and content of those that are read once: another content is another pipeline.
	sums []string
}

// lookup reads a row for expressions.
func (ts *tables) lookup(name, key string) (any, bool, error) {
	t, ok := ts.byName[name]
	if !ok {
		return nil, false, fmt.Errorf("unknown table %q", name)
	}
	row, ok := t.Lookup(key)
	return row, ok, nil
}

func (ts *tables) noteRead(name string) {
	ts.allRead = ts.allRead || name == ""
	ts.read[name] = true
}

// loadTables reads the files of all tables, so that a bad one is found before anything runs.
func (l *loader) loadTables() {
	v := l.file.Tables
	if v == nil && !l.damaged {
		return
	}
	l.tables = &tables{byName: map[string]*table.Table{}, keys: map[string]yamldoc.Scalar{}, read: map[string]bool{}}
	if v == nil || v.Broken() {
		return // no name can be checked
	}
	if v.Kind() != yamldoc.KindMapping {
		l.context.WrongType(v, "a mapping of names to tables, such as countries: { file: countries.csv, key: code }")
		return
	}
	l.tables.names = []string{}
	for _, e := range v.Entries() {
		l.checkName(e.Key, "a table")
		l.tables.names = append(l.tables.names, e.Key.Text)
		l.tables.keys[e.Key.Text] = e.Key
		before := l.findings.ErrorCount()
		var entry tableEntry
		yamldoc.Decode(e.Value, &entry, l.context)
		if l.findings.ErrorCount() == before {
			l.openTable(e.Key.Text, e.Value, &entry)
		}
	}
}

func (l *loader) openTable(name string, v *yamldoc.Value, entry *tableEntry) {
	if entry.Refresh != nil && *entry.Refresh < minRefresh {
		refresh, _ := v.Lookup("refresh")
		refresh.Finding(l.findings, diag.BadValue, fmt.Sprintf("refresh must be %s or more", minRefresh), "write a duration such as 1m")
		return
	}
	path := entry.File.Text
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.path), path)
	}
	s := table.Spec{File: path, Key: entry.Key.Text, Types: map[string]table.Type{}}
	for column, t := range entry.Types {
		s.Types[column] = table.Type(t)
	}
	t, text, problems := table.Open(s)
	if l.opts.Read != nil {
		l.opts.Read(path, text)
	}
	if len(problems) > 0 {
		l.tableProblems(v, entry, path, text, problems)
		return
	}
	l.tables.byName[name] = t
	if entry.Refresh == nil {
		l.tables.sums = append(l.tables.sums, name, fmt.Sprintf("%x", sha256.Sum256(text)))
	} else {
		every := *entry.Refresh
		l.prog.Background = append(l.prog.Background, func(ctx context.Context, log *slog.Logger) {
			t.Refresh(ctx, every, log.With("table", name))
		})
	}
}

// minRefresh keeps a table from being read all the time.
const minRefresh = 100 * time.Millisecond

// tableProblems makes findings of what is wrong with a table's file: in the file where it is about a row, else in the pipeline file.
func (l *loader) tableProblems(v *yamldoc.Value, entry *tableEntry, path string, text []byte, problems []table.Problem) {
	for _, p := range problems {
		switch p.About {
		case table.AboutFile:
			l.findings.Add(entry.File.Whole(diag.BadTable, fmt.Sprintf("cannot read the table %s: %s", entry.File.Shown(), p.Message), p.Hint))
		case table.AboutKey:
			l.findings.Add(entry.Key.Whole(diag.BadTable, p.Message, columnHint(p)))
		case table.AboutType:
			types, _ := v.Lookup("types")
			at := keyOf(types, p.Column)
			l.findings.Add(at.Whole(diag.BadTable, p.Message, columnHint(p)))
		case table.AboutRow:
			l.findings.AddSource(path, text)
			code := diag.BadTable
			if p.Duplicate {
				code = diag.DuplicateRow
			}
			l.findings.Add(diag.Finding{Path: path, Line: p.Line, Col: p.Col, Width: p.Width, Code: code, Message: p.Message, Hint: p.Hint})
		}
	}
}

func columnHint(p table.Problem) string {
	if near := didYouMean(p.Column, p.Columns); near != "" {
		return near
	}
	return "columns: " + strings.Join(p.Columns, ", ")
}

// checkTables reports tables that no expression reads. Where something else is wrong, an expression that was not compiled may read them.
func (l *loader) checkTables(top *yamldoc.Value) {
	ts := l.tables
	if ts == nil || ts.allRead || l.damaged || l.lost {
		return
	}
	if l.findings.HasErrors() && mentions(top, "lookup") {
		return
	}
	for _, name := range ts.names {
		if key := ts.keys[name]; !ts.read[name] {
			l.findings.Add(key.Whole(diag.UnusedTable, fmt.Sprintf("nobody uses table %q", name), fmt.Sprintf("read it with lookup(%q, key), or leave it out", name)))
		}
	}
}

// mentions tells whether a word stands in any text of a value, but for the tests.
func mentions(v *yamldoc.Value, word string) bool {
	switch v.Kind() {
	case yamldoc.KindMapping:
		return slices.ContainsFunc(v.Entries(), func(e yamldoc.Entry) bool {
			return !(v.Parent() == nil && e.Key.Text == "tests") && mentions(e.Value, word)
		})
	case yamldoc.KindSequence:
		return slices.ContainsFunc(v.Items(), func(item *yamldoc.Value) bool { return mentions(item, word) })
	case yamldoc.KindNull, yamldoc.KindScalar:
	}
	return strings.Contains(v.Scalar().Text, word)
}
