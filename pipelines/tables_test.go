package pipelines_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestTheRowsOfATableCountUnlessItIsReadAgain(t *testing.T) {
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
	refreshing := strings.Replace(text, "key: id", "key: id, refresh: 1m", 1)
	refreshed := compileIn(t, dir, refreshing)
	write("a.csv", "id,n\nb,2\n")
	if again := compileIn(t, dir, text); again.Hash == first.Hash || again.Nodes[1].Hash == first.Nodes[1].Hash {
		t.Error("other rows give the same hash")
	}
	if again := compileIn(t, dir, refreshing); again.Hash != refreshed.Hash || again.Nodes[1].Hash != refreshed.Nodes[1].Hash {
		t.Error("other rows of a table that is read again give another hash")
	}
	write("a.csv", "id,n\na,1\n")
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
	if len(refreshed.Background) != 1 {
		t.Errorf("%d background tasks, want 1", len(refreshed.Background))
	}
}

func TestEveryFileThatIsReadIsTold(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"t.csv": "id\na\n", "s.json": "{}", "k.txt": "secret!", "p.yaml": `
name: x
env: { K: { secret: true } }
vars: { k: "${file:k.txt}" }
tables: { t: { file: t.csv, key: id }, gone: { file: gone.csv, key: id } }
from: { stdin: {}, schema: s.json }
steps:
  - filter: lookup("t", hmac("x", vars.k)) != nil or lookup("gone", "x") != nil
to: { stdout: {} }
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := map[string]string{}
	opts := options()
	opts.Read = func(path string, content []byte) {
		name, _ := filepath.Rel(dir, path)
		if name == "p.yaml" {
			content = content[:8]
		}
		if read[name] = string(content); content == nil {
			read[name] = "unreadable"
		}
	}
	if _, findings := pipelines.Load(filepath.Join(dir, "p.yaml"), opts); !findings.HasErrors() {
		t.Error("a table that is not there gives no finding")
	}
	want := map[string]string{"p.yaml": "\nname: x", "t.csv": "id\na\n", "s.json": "{}", "k.txt": "secret!", "gone.csv": "unreadable"}
	if d := cmp.Diff(want, read); d != "" {
		t.Errorf("read (-want +got):\n%s", d)
	}
}

func TestAProtocolThatIsNotThereIsToldAsRead(t *testing.T) {
	dir := t.TempDir()
	text := "name: x\nfrom: { stdin: {}, decode: { protobuf: { file: a.proto, message: a.M } } }\nto: { stdout: {} }\n"
	for name, content := range map[string]string{
		"none": "", "an import": "syntax = \"proto3\";\npackage a;\nimport \"b.proto\";\nmessage M { string s = 1; }\n",
	} {
		if content != "" {
			if err := os.WriteFile(filepath.Join(dir, "a.proto"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		told := map[string]bool{}
		opts := options()
		opts.Read = func(path string, content []byte) { told[filepath.Base(path)] = content != nil }
		_, findings := pipelines.Compile(filepath.Join(dir, "p.yaml"), []byte(text), opts)
		missing := map[string]string{"none": "a.proto", "an import": "b.proto"}[name]
		if there, was := told[missing]; !findings.HasErrors() || !was || there {
			t.Errorf("%s: told %v, findings %v", name, told, findings.All())
		}
		if err := os.RemoveAll(filepath.Join(dir, "a.proto")); err != nil {
			t.Fatal(err)
		}
	}
}
