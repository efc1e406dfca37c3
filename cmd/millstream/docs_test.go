package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/format"
	"github.com/millstream/millstream/pipelines/reference"
)

//go:generate go test -count=1 -run "^TestGeneratedFilesAreFresh$" . -update

var update = flag.Bool("update", false, "write generated files")

func testGrammar(t testing.TB, comments reference.Comments) *reference.Grammar {
	t.Helper()
	s := &streams{in: bytes.NewReader(nil), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	return reference.NewGrammar(s.registry(), comments)
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	comments, err := reference.Collect(os.DirFS(root), "github.com/millstream/millstream", "nodes", "connectors", "pipelines/config")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(comments, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	fresh(t, "pipelines/reference/comments.json", append(text, '\n'))
	g, s := testGrammar(t, comments), &streams{in: bytes.NewReader(nil), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	fresh(t, "docs/nodes.md", []byte(g.NodesDoc()))
	fresh(t, "docs/connectors.md", []byte(g.ConnectorsDoc()))
	fresh(t, "docs/codecs.md", []byte(g.CodecsDoc()))
	fresh(t, "docs/functions.md", []byte(reference.FunctionsDoc()))
	fresh(t, "docs/dead-letters.md", []byte(reference.DeadLettersDoc()))
	fresh(t, "docs/diagnostics.md", []byte(reference.DiagnosticsDoc(s.registry())))
}

func TestEveryCodeHasAnExampleThatGetsItAlone(t *testing.T) {
	s := &streams{in: bytes.NewReader(nil), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	examples := map[diag.Code]bool{}
	for _, m := range reference.Mistakes() {
		if examples[m.Code] || (m.File == "") == (m.Story == "") {
			t.Errorf("%s has two examples, or none", m.Code)
		}
		examples[m.Code] = true
		if m.File == "" {
			continue
		}
		_, findings := pipelines.Compile("example.yaml", []byte(m.File), pipelines.Options{Registry: s.registry()})
		if all := findings.All(); len(all) != 1 || all[0].Code != m.Code {
			t.Errorf("the example of %s gets\n%s\n%s", m.Code, reference.FindingsOf(m.File, s.registry()), m.File)
		}
	}
	for _, c := range diag.Codes() {
		if !examples[c.Code] {
			t.Errorf("%s has no example", c.Code)
		}
	}
}

// codeLiteral finds the codes that the expression compiler gives as literals.
var codeLiteral = regexp.MustCompile(`(?:Code: |\.Code = |Code, p\.Message = |\.add\([^"]*, |\.fail\([^"]*, |\.unknown\([^"]*, )"([a-z-]+[a-z])"`)

func TestCodesOfExpressionsAreInTheList(t *testing.T) {
	known := map[string]bool{}
	for _, c := range diag.Codes() {
		known[string(c.Code)] = true
	}
	files, err := filepath.Glob(filepath.Join(root, "pipelines/expression/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range codeLiteral.FindAllStringSubmatch(string(text), -1) {
			found++
			if !known[m[1]] {
				t.Errorf("%s gives the code %s, which diag does not list", filepath.Base(file), m[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d codes were found", found)
	}
}

func TestPagesAreWrongExactlyWhereTheySaySo(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if m[1] != " invalid" {
				continue
			}
			blocks++
			if compileExample(file, []byte(m[2])) != nil {
				t.Errorf("%s: a block that says it is invalid compiles\n%s", filepath.Base(file), m[2])
			}
		}
	}
	if blocks < 50 {
		t.Errorf("only %d blocks were found", blocks)
	}
}

func TestWhatNewWritesValidates(t *testing.T) {
	comments, err := reference.Collected()
	if err != nil {
		t.Fatal(err)
	}
	g := testGrammar(t, comments)
	try := func(source string, verbs []string, sink string) {
		t.Helper()
		text, err := g.Scaffold("example", source, verbs, sink)
		if err != nil {
			t.Error(err)
			return
		}
		s := &streams{in: bytes.NewReader(nil), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
		if p, findings := pipelines.Compile("new.yaml", []byte(text), pipelines.Options{Registry: s.registry()}); p == nil {
			t.Errorf("%s/%v/%s: %v\n%s", source, verbs, sink, findings.All(), text)
		}
		if out, _, err := format.Format("new.yaml", []byte(text), g.File); err != nil || string(out) != text {
			t.Errorf("%s/%v/%s: fmt would change it: %v\n%s\n%s", source, verbs, sink, err, text, out)
		}
	}
	var all []string
	for _, v := range g.Verbs {
		try("stdin", []string{v.Name}, "stdout")
		try("stdin", []string{v.Name, "filter", v.Name}, "stdout")
		all = append(all, v.Name)
	}
	try("stdin", all, "stdout")
	for _, c := range g.Connectors {
		if c.Source != nil {
			try(c.Name, nil, "stdout")
		}
		if c.Sink != nil {
			try("stdin", []string{"filter"}, c.Name)
			try("stdin", []string{"route"}, c.Name)
		}
	}
}

// fresh compares a generated file with what it should be, or writes it.
func fresh(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join(root, name), want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is stale; run go generate ./cmd/millstream (-want +got):\n%s", name, diff)
	}
}

func TestEveryFieldOfAPipelineFileIsDocumented(t *testing.T) {
	comments, err := reference.Collected()
	if err != nil {
		t.Fatal(err)
	}
	g := testGrammar(t, comments)
	for _, name := range g.Undocumented {
		t.Errorf("%s has no doc comment", name)
	}
	for _, name := range g.Unknown {
		t.Errorf("%s reads itself from YAML and does not say what it takes: give it a method FieldKind() string", name)
	}
}
