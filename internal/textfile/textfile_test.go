package textfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millstream/millstream/internal/textfile"
)

func TestReadTakesRegularFilesUpToALimit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := textfile.Read(path, 4); string(text) != "four" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	for path, want := range map[string]string{
		path: "more than 3 bytes", dir: "not a regular file", "/dev/zero": "not a regular file", filepath.Join(dir, "b"): "no such file",
	} {
		if _, err := textfile.Read(path, 3); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}
