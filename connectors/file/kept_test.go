package file_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millstream/millstream/connectors/connectortest"
)

func TestPositionsThatCannotBeKeptAreSaidOnce(t *testing.T) {
	host, said := connectortest.NewHost(t), &loud{}
	host.Log = slog.New(slog.NewTextHandler(said, nil))
	path := write(t, filepath.Join(t.TempDir(), "in.log"), "0\n")
	r := start(t, following(path), host)
	r.want("0")
	for _, name := range []string{"positions.json.next", "positions.recent.json.next"} { // where the next ones are written
		if err := os.Mkdir(filepath.Join(host.State, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	bodies := []string{"0"}
	for i := range 20 {
		bodies = append(bodies, fmt.Sprint(i+1))
		add(t, path, bodies[i+1]+"\n")
		r.want(bodies...)
		r.in.SettleAll()
	}
	if n := said.count("cannot be kept"); n != 1 || said.count("level=WARN") > 0 {
		t.Errorf("it was said %d times:\n%s", n, said.text())
	}
	for _, name := range []string{"positions.json.next", "positions.recent.json.next"} {
		if err := os.Remove(filepath.Join(host.State, name)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "what says that it goes on", func() bool { return said.count("kept again") == 1 })
	r.stop()
	add(t, path, "more\n")
	start(t, following(path), host).want("more")
}

// TestAPositionThatCannotBeKeptAtTheStart does not end the source: what is read from the beginning can be read again, and where reading begins
// at the end it waits until that is known for good.
func TestAPositionThatCannotBeKeptAtTheStart(t *testing.T) {
	block := func(t *testing.T, host *connectortest.Host) (room func()) {
		t.Helper()
		name := filepath.Join(host.State, "positions.json.next")
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("from the beginning", func(t *testing.T) {
		host := connectortest.NewHost(t)
		room := block(t, host)
		path := write(t, filepath.Join(t.TempDir(), "in.log"), "0\n1\n")
		r := start(t, following(path), host)
		r.want("0", "1")
		room()
		r.stop()
	})
	t.Run("from the end", func(t *testing.T) {
		host := connectortest.NewHost(t)
		room := block(t, host)
		path := write(t, filepath.Join(t.TempDir(), "in.log"), "old\n")
		r := start(t, following(path)+"start: end\n", host)
		time.Sleep(50 * time.Millisecond)
		add(t, path, "new\n")
		room()
		r.want("new")
		r.stop()
	})
}

// loud keeps what is logged.
type loud struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *loud) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *loud) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func (l *loud) count(what string) int { return strings.Count(l.text(), what) }
