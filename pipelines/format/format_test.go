package format

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/reference"
)

var update = flag.Bool("update", false, "write the results into the golden files")

type kafka struct {
	Brokers []string          `yaml:"brokers"`
	Topics  []string          `yaml:"topics"`
	Topic   config.Template   `yaml:"topic"`
	Key     config.Expression `yaml:"key"`
}

func (*kafka) BuildSource(*config.Builder) config.Source { return config.Source{} }
func (*kafka) BuildSink(*config.Builder) config.Sink     { return config.Sink{} }

type plain struct{}

func (*plain) BuildSource(*config.Builder) config.Source { return config.Source{} }
func (*plain) BuildSink(*config.Builder) config.Sink     { return config.Sink{} }

func grammar() *reference.Type {
	return reference.NewGrammar(&config.Registry{Nodes: nodes.Types(), Connectors: []config.ConnectorType{
		{Name: "stdin", NewSource: func() config.SourceConfig { return &plain{} }},
		{Name: "stdout", NewSink: func() config.SinkConfig { return &plain{} }},
		{Name: "kafka", NewSource: func() config.SourceConfig { return &kafka{} }, NewSink: func() config.SinkConfig { return &kafka{} }},
	}}, reference.Comments{}).File
}

// TestFilesAreLaidOutAsTheGoldenFilesSay formats every *.yaml of testdata/*.txtar and compares with the *.want behind it.
func TestFilesAreLaidOutAsTheGoldenFilesSay(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	g := grammar()
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var updated []txtar.File
		for i, f := range archive.Files {
			name, isInput := strings.CutSuffix(f.Name, ".yaml")
			if !isInput {
				continue
			}
			t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) {
				got := formatted(t, f.Data, g)
				updated = append(updated, f, txtar.File{Name: name + ".want", Data: got})
				if *update {
					return
				}
				if i+1 >= len(archive.Files) || archive.Files[i+1].Name != name+".want" {
					t.Fatal("the golden file has no want behind it")
				}
				if diff := cmp.Diff(string(archive.Files[i+1].Data), string(got)); diff != "" {
					t.Errorf("layout differs (-want +got):\n%s", diff)
				}
			})
		}
		if *update {
			archive.Files = updated
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// formatted formats twice: the second time must change nothing.
func formatted(t *testing.T, src []byte, g *reference.Type) []byte {
	t.Helper()
	out, findings, err := Format("p.yaml", src, g)
	if err != nil || out == nil {
		t.Fatalf("not formatted: %v %v\n%s", err, findings.All(), src)
	}
	again, _, err := Format("p.yaml", out, g)
	if err != nil {
		t.Fatalf("the result cannot be formatted: %v\n%s", err, out)
	}
	if diff := cmp.Diff(string(out), string(again)); diff != "" {
		t.Errorf("formatting twice changes more (-once +twice):\n%s", diff)
	}
	return out
}

func TestWhatCannotBeFormattedIsRefusedAsItIs(t *testing.T) {
	for name, text := range map[string]string{
		"no YAML":        "a: [",
		"a tag":          "a: !x y",
		"explicit key":   "? a\n: b\n",
		"a list":         "- a\n",
		"line separator": "a: b\u2028c: d\n",
		"directive":      "%YAML 1.1\n---\na: b\n",
		"two documents":  "a: b\n---\nc: d\n",
	} {
		out, findings, err := Format("p.yaml", []byte(text), grammar())
		if out != nil || err == nil && !findings.HasErrors() {
			t.Errorf("%s: got %q, %v", name, out, err)
		}
	}
}

func FuzzFormatKeepsTheMeaning(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	more, _ := filepath.Glob("../testdata/findings/*.txtar")
	for _, path := range append(paths, more...) {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	g := grammar()
	f.Fuzz(func(t *testing.T, src []byte) {
		out, _, err := Format("p.yaml", src, g)
		if err != nil || out == nil {
			return
		}
		again, findings, err := Format("p.yaml", out, g)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("formatting twice changes more: %v %v\n%q\n%q\n%q", err, findings.All(), src, out, again)
		}
	})
}
