package pipelines_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

var update = flag.Bool("update", false, "write the findings into the golden files")

// TestFindingsReadAsTheGoldenFilesSay compiles every *.yaml of testdata/findings/*.txtar and compares the printed findings with the
// *.want that follows it. A file without findings wants nothing.
func TestFindingsReadAsTheGoldenFilesSay(t *testing.T) {
	paths, err := filepath.Glob("testdata/findings/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var updated []txtar.File
		for i, file := range archive.Files {
			name, isInput := strings.CutSuffix(file.Name, ".yaml")
			if !isInput {
				continue
			}
			got := findingsOf(t, file.Data)
			updated = append(updated, file, txtar.File{Name: name + ".want", Data: []byte(got)})
			if *update {
				continue
			}
			t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) {
				if i+1 >= len(archive.Files) || archive.Files[i+1].Name != name+".want" {
					t.Fatal("the golden file has no want behind it")
				}
				if difference := cmp.Diff(string(archive.Files[i+1].Data), got); difference != "" {
					t.Errorf("findings differ (-want +got):\n%s", difference)
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

func options() pipelines.Options {
	return pipelines.Options{
		Registry: registry(),
		Env: yamldoc.MapEnv{
			"KAFKA": "a:9092, b:9092", "AMQP_URL": "amqp://localhost", "TOKEN": "hunter2", "LIMIT": "30", "WORD": "hot", "EMPTY": "",
		},
	}
}

func findingsOf(t *testing.T, src []byte) string {
	t.Helper()
	program, findings := pipelines.Compile("p.yaml", src, options())
	if (program == nil) != findings.HasErrors() {
		t.Errorf("a program (%v) goes with errors (%v)", program != nil, findings.HasErrors())
	}
	var out strings.Builder
	if err := diag.WriteText(&out, findings); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
