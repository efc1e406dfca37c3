package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/pipelines/reference"
)

//go:generate go test -count=1 -run "^TestGeneratedFilesAreFresh$" . -update

var update = flag.Bool("update", false, "write generated files")

func testGrammar(t *testing.T, comments reference.Comments) *reference.Grammar {
	t.Helper()
	s := &streams{in: bytes.NewReader(nil), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	return reference.NewGrammar(s.registry(), comments)
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	comments, err := reference.Collect(os.DirFS(root), "github.com/millstream/millstream", "nodes", "connectors")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(comments, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	fresh(t, "pipelines/reference/comments.json", append(text, '\n'))
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
