package pipelines_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millstream/millstream/pipelines"
)

// compileIn compiles a text as a file of a directory; findings fail the test.
func compileIn(t *testing.T, dir, text string) *pipelines.Program {
	t.Helper()
	prog, findings := pipelines.Compile(filepath.Join(dir, "p.yaml"), []byte(text), options())
	if findings.HasErrors() {
		t.Fatalf("findings: %+v", findings.All())
	}
	return prog
}

func TestATableCountsByItsSpecNotByItsRows(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = `
name: x
tables: { t: { file: a.csv, key: id } }
from: { stdin: {} }
steps:
  - filter: body.n > 1
  - filter: lookup("t", body.id) != nil
to: { stdout: {} }
`
	write("a.csv", "id,n\na,1\n")
	write("b.csv", "id,n\na,1\n")
	first := compileIn(t, dir, text)
	write("a.csv", "id,n\nb,2\n")
	if again := compileIn(t, dir, text); again.Hash != first.Hash || again.Nodes[1].Hash != first.Nodes[1].Hash {
		t.Error("other rows give another hash")
	}
	other := compileIn(t, dir, strings.Replace(text, "a.csv", "b.csv", 1))
	if other.Hash == first.Hash || other.Nodes[1].Hash == first.Nodes[1].Hash {
		t.Error("another file gives the same hash")
	}
	if other.Nodes[0].Hash != first.Nodes[0].Hash {
		t.Error("a node that reads no table has another hash")
	}
	if len(first.Background) != 0 {
		t.Error("a table without refresh is read again")
	}
	refreshed := compileIn(t, dir, strings.Replace(text, "key: id", "key: id, refresh: 1m", 1))
	if len(refreshed.Background) != 1 {
		t.Errorf("%d background tasks, want 1", len(refreshed.Background))
	}
}
