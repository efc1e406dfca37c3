package file

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
)

// TestAFileThatWasRenamedIsDoneWhenItDoesNotGrow follows a file that is rotated, or removed, in the middle of a line that never ends.
func TestAFileThatWasRenamedIsDoneWhenItDoesNotGrow(t *testing.T) {
	for name, away := range map[string]func(path string) error{
		"renamed": func(path string) error { return os.Rename(path, path+".1") },
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/in.log"
			if err := os.WriteFile(path, []byte("a\nlast"), 0o600); err != nil {
				t.Fatal(err)
			}
			host := connectortest.NewHost(t)
			f, err := openFollower(keeping{pattern: path, follow: true, ratio: 100, patience: 50 * time.Millisecond}, host)
			if err != nil {
				t.Fatal(err)
			}
			in := &connectortest.Intake{Source: f}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- f.Run(ctx, in) }()
			wait := func(want ...string) {
				t.Helper()
				for end := time.Now().Add(20 * time.Second); len(in.Got()) < len(want) && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				if diff := cmp.Diff(want, in.Bodies()); diff != "" {
					t.Fatal(diff)
				}
			}
			wait("a")
			if err := away(path); err != nil {
				t.Fatal(err)
			}
			wait("a", "last")
			for end := time.Now().Add(20 * time.Second); len(f.positions.all()) > 0 && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if n := len(f.positions.all()); n > 0 || len(f.byID) > 0 {
				t.Errorf("%d positions and %d files are kept", n, len(f.byID))
			}
			if err := f.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAFileThatIsGoneBeforeItsEndIsFoundIsLeft(t *testing.T) {
	path := t.TempDir() + "/in.log"
	if err := os.WriteFile(path, []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := look(path)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f, err := openFollower(keeping{pattern: path, follow: true, fromEnd: true, ratio: 100}, connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.adopt(all[0], true); err != nil || len(f.byID) > 0 || len(f.positions.all()) > 0 {
		t.Errorf("%v, %d files, %d positions", err, len(f.byID), len(f.positions.all()))
	}
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
