package pipelines_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/millstream/millstream/pipelines"
)

// FuzzCompile compiles any text: nothing may panic or hang, a program comes exactly when there is no error, and findings lie in the file.
func FuzzCompile(f *testing.F) {
	paths, err := filepath.Glob("testdata/fi*/*.txtar") // findings, and files
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	f.Add([]byte(planned))
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".yaml") {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		opts := options()
		for _, opts.ForTest = range []bool{false, true} {
			p, findings := pipelines.Compile("p.yaml", text, opts)
			if (p == nil) != findings.HasErrors() {
				t.Fatalf("a program: %v, findings: %+v", p != nil, findings.All())
			}
			if p != nil {
				checkProgram(t, p)
			}
			lines := bytes.Split(bytes.ReplaceAll(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\r"), []byte("\n")), []byte("\n"))
			for _, x := range findings.All() {
				if x.Path != "p.yaml" && x.Message != "" && x.Code != "" {
					continue // it is about a table or a schema
				}
				if x.Path != "p.yaml" || x.Line > len(lines) || x.Message == "" || x.Code == "" {
					t.Fatalf("the finding is not in the file of %d lines: %+v", len(lines), x)
				}
				if length := utf8.RuneCount(lines[x.Line-1]); !strings.ContainsAny(string(text), "\r\u0085\u2028\u2029") && x.Col > length+1 {
					t.Fatalf("the finding is beyond its line of %d runes: %+v", length, x)
				}
			}
		}
	})
}

// checkProgram checks that edges lead to what is there, forwards.
func checkProgram(t *testing.T, p *pipelines.Program) {
	t.Helper()
	check := func(from int, edges []pipelines.Edge) {
		for _, e := range edges {
			switch {
			case e.Sink && e.Index >= len(p.Sinks), !e.Sink && e.Index >= len(p.Nodes):
				t.Fatalf("an edge leads to %+v, which is not there", e)
			case !e.Sink && e.Index <= from:
				t.Fatalf("node %d feeds node %d, which comes before it", from, e.Index)
			}
		}
	}
	for i := range p.Sources {
		if p.Sources[i].Open == nil || p.Sources[i].Name == "" {
			t.Fatalf("source %d is not built", i)
		}
		check(-1, p.Sources[i].Out)
	}
	for i := range p.Nodes {
		if p.Nodes[i].Processor == nil || p.Nodes[i].Name == "" {
			t.Fatalf("node %d is not built", i)
		}
		for _, edges := range p.Nodes[i].Ports {
			if len(edges) == 0 {
				t.Fatalf("a way out of node %s leads nowhere", p.Nodes[i].Name)
			}
			check(i, edges)
		}
		check(i, p.Nodes[i].Errors)
	}
	for i := range p.Sinks {
		if p.Sinks[i].Open == nil || p.Sinks[i].Name == "" {
			t.Fatalf("sink %d is not built", i)
		}
	}
	for _, step := range pipelines.Plan([]*pipelines.Program{p}, []*pipelines.Program{p}) {
		if step.Action != pipelines.Keep {
			t.Fatalf("planning a pipeline against itself gives %+v", step)
		}
	}
}
