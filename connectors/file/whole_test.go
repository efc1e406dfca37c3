package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/millstream/millstream/flow"
)

func TestAWholeFileIsConfirmedOnlyWhenItsNameLasts(t *testing.T) {
	fails := true
	w := &wholeWriter{hidden: ".a.tmp", lasting: func(location) error {
		if fails {
			return syscall.EIO
		}
		return nil
	}}
	at := location{base: t.TempDir(), rel: "x.json", guarded: true}
	for range 2 { // the second time the file is there already
		var e *flow.Error
		if err := w.write(at, []byte("x"), "batch"); !errors.As(err, &e) || e.Class != flow.Transient {
			t.Fatalf("it was confirmed: %v", err)
		}
	}
	fails = false
	if err := w.write(at, []byte("x"), "batch"); err != nil {
		t.Error(err)
	}
}

func TestOfTwoThatMakeOneFileOneIsRefused(t *testing.T) {
	dir := t.TempDir()
	writers := []*wholeWriter{{hidden: ".a.tmp", lasting: location.syncDirs}, {hidden: ".b.tmp", lasting: location.syncDirs}}
	for n := range 300 {
		at := location{base: dir, rel: fmt.Sprintf("%d.json", n), guarded: true}
		errs := make([]error, len(writers))
		var wg sync.WaitGroup
		for i, w := range writers {
			wg.Go(func() { errs[i] = w.write(at, []byte{byte('a' + i)}, syncNone) })
		}
		wg.Wait()
		there, err := os.ReadFile(at.path())
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range errs {
			if mine := there[0] == byte('a'+i); mine != (err == nil) {
				t.Fatalf("%s holds %s, and writer %d got %v", at.rel, there, i, err)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*.tmp")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

func TestTwoThatHaveOneHiddenNameDoNotMixTheirFiles(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 2 {
		w := &wholeWriter{hidden: ".a.tmp", lasting: location.syncDirs}
		body := bytes.Repeat([]byte{byte('a' + i)}, 100_000*(i+1))
		wg.Go(func() {
			for n := range 200 {
				at := location{base: dir, rel: fmt.Sprintf("%d-%d.json", i, n), guarded: true}
				var e *flow.Error
				err := w.write(at, body, syncNone)
				if errors.As(err, &e) && e.Class == flow.Transient {
					continue // it comes again
				}
				if there, reading := os.ReadFile(at.path()); err != nil || reading != nil || !bytes.Equal(there, body) {
					t.Errorf("%s has %d bytes, want %d: %v", at.rel, len(there), len(body), err)
					return
				}
			}
		})
	}
	wg.Wait()
}
