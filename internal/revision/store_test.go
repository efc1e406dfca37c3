package revision

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsKeptIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state [1]*")
	s := open(t, dir)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Fatal("a directory is made though nothing is kept")
	}
	for _, text := range []string{"one", "two", "two"} {
		if err := s.Keep("p", "/etc/p.yaml", text); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Keep("q", "/etc/q.yaml", "q"); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if k, have := s.ByPath("/etc/p.yaml"); !have || k.Text != "two" || k.Pipeline != "p" {
		t.Errorf("%+v %t", k, have)
	}
	if len(s.All()) != 2 {
		t.Errorf("%+v", s.All())
	}
	if err := os.WriteFile(filepath.Join(dir, "q", "positions"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"p", "q", "never kept"} {
		if err := s.Forget(name); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir)
	if len(s.All()) != 0 {
		t.Errorf("%+v", s.All())
	}
	if _, err := os.Stat(filepath.Join(dir, "p")); !os.IsNotExist(err) {
		t.Error("an empty folder is left")
	}
	if _, err := os.Stat(filepath.Join(dir, "q", "positions")); err != nil {
		t.Error("positions are gone")
	}
}

func TestWhatCannotBeReadIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, name := range []string{"torn", "newer", "other", "good"} {
		if err := s.Keep(name, "/"+name, "text"); err != nil {
			t.Fatal(err)
		}
	}
	change := func(name, from, to string) {
		path := filepath.Join(dir, name, keptName)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("torn", "}", "")
	change("newer", `"format":1`, `"format":2`)
	change("other", `"pipeline":"other"`, `"pipeline":"good"`)
	s, err := OpenStore(dir)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v", err)
	}
	if all := s.All(); len(all) != 1 || all[0].Path != "/good" {
		t.Errorf("%+v", all)
	}
}
