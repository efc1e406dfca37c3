package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/millstream/millstream/engine"
)

func TestStatusSaysWhyAPipelineIsPausedAndTheSummaryForgetsIt(t *testing.T) {
	const text = "name: p\nfrom: { generate: { body: '{\"n\": n}', rate: 200/s } }\nsteps:\n  - transform: { body.m: CONDITION }\nto: { file: { path: p.ndjson } }\n"
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	write(t, file, strings.Replace(text, "CONDITION", `'int("x" + string(body.n))'`, 1))
	s := launchIn(t, dir, "run", "p.yaml")
	eventually(t, "it is paused", func() bool { return strings.Contains(s.stderr.String(), "pipeline paused") })
	p := s.status().Pipelines[0]
	if why := p.Paused; p.State != engine.Paused || why == nil || why.Node == "" || why.Class != "permanent" || why.Code == "" ||
		why.Message == "" || why.Origin == "" || why.Since.IsZero() {
		t.Errorf("%+v of %+v", why, p)
	}
	if _, out := s.in("status"); !strings.Contains(out, "p: paused since ") || !strings.Contains(out, "; it waits for a reload or a restart\n") {
		t.Errorf("status says\n%s", out)
	}
	write(t, file, strings.Replace(text, "CONDITION", "body.n", 1))
	if code, out := s.in("reload"); code != exitFine {
		t.Errorf("reload ends with %d and says\n%s", code, out)
	}
	eventually(t, "it goes on", func() bool { return len(s.lines("p")) > 0 })
	if p := s.status().Pipelines[0]; p.State != engine.Running || p.Paused != nil {
		t.Errorf("%+v of %+v", p.Paused, p)
	}
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d", code)
	}
	if log := s.stderr.String(); strings.Contains(log, "left at the source") || strings.Contains(log, "{In:") || !strings.Contains(log, " dead_lettered=0 ") {
		t.Errorf("it says\n%s", log)
	}
}
