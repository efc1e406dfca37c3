package pipelines_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestFindingsAboutOtherFilesReadAsTheGoldenFilesSay is TestFindingsReadAsTheGoldenFilesSay for pipelines that read files beside them:
// what is neither .yaml nor .want lies in the directory.
func TestFindingsAboutOtherFilesReadAsTheGoldenFilesSay(t *testing.T) {
	paths, err := filepath.Glob("testdata/files/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) { goldenFiles(t, path) })
	}
}

func goldenFiles(t *testing.T, path string) {
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, file := range archive.Files {
		if ext := filepath.Ext(file.Name); ext != ".yaml" && ext != ".want" {
			if err := os.WriteFile(file.Name, file.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, file := range archive.Files {
		name, isInput := strings.CutSuffix(file.Name, ".yaml")
		if !isInput {
			continue
		}
		want := &archive.Files[i+1]
		if want.Name != name+".want" {
			t.Fatalf("%s has no want behind it", file.Name)
		}
		got := findingsOf(t, file.Data)
		if difference := cmp.Diff(string(want.Data), got); difference != "" && !*update {
			t.Errorf("%s: findings differ (-want +got):\n%s", name, difference)
		}
		want.Data = []byte(got)
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
