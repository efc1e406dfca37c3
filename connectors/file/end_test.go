package file

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/millstream/millstream/connectors/connectortest"
)

// TestAFileThatGrowsWhileItsEndIsFoundWasNotCut has lines come between the look at a file and the reading of its end.
func TestAFileThatGrowsWhileItsEndIsFoundWasNotCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.log")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("old\nolder than the end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openFollower(keeping{pattern: path, follow: true, fromEnd: true}, connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close(t.Context()) }()
	if err := f.adopt(found{path: path, info: info}, true); err != nil {
		t.Fatal(err)
	}
	known := f.byID[identityOf(info)]
	defer known.close()
	if same, err := known.same(known.info); !same || err != nil {
		t.Errorf("a file of %d bytes, read up to %d, counts as another: %v", known.info.Size(), known.offset, err)
	}
}
