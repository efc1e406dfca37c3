package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// gapless fails unless each message of a pipeline is there and none comes before one that it follows; some may be there again.
func (s *started) gapless(name string) {
	s.t.Helper()
	next := 0
	for i, l := range s.lines(name) {
		if l.N > next {
			s.t.Fatalf("line %d of %s is message %d, and message %d was not there before\n%s", i, name, l.N, next, s.stderr)
		}
		next = max(next, l.N+1)
	}
}

func TestAMemoryTopicSurvivesReloadsOfBothSides(t *testing.T) {
	const (
		writer = "name: w\nfrom: { generate: { body: \"{n: n}\", rate: 3000/s } }\nsteps:\n  - transform: { body.v: %d }\nto: { memory: { topic: mid } }\n"
		reader = "name: r\nfrom: { memory: { topic: mid } }\nto: { file: { path: r.ndjson } }\n"
	)
	dir := t.TempDir()
	w, r := filepath.Join(dir, "d", "w.yaml"), filepath.Join(dir, "d", "r.yaml")
	write(t, w, fmt.Sprintf(writer, 1))
	write(t, r, reader)
	s := launchIn(t, dir, "run", "--watch=false", "d")
	s.arrives("r", 1)
	for version := 2; version <= 9; version++ {
		reload := func() {
			t.Helper()
			if code, out := s.in("reload"); code != exitFine {
				t.Fatalf("reload ends with %d and says\n%s\n%s", code, out, s.stderr)
			}
		}
		switch version % 3 {
		case 0: // replaced
			write(t, r, reader+fmt.Sprintf("limits: { in_flight: %d }\n", 500+version))
		case 1: // taken away
			if err := os.Remove(r); err != nil {
				t.Fatal(err)
			}
			reload()
			write(t, r, reader)
		}
		write(t, w, fmt.Sprintf(writer, version))
		reload()
		s.arrives("r", version)
	}
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	s.gapless("r")
}
