package revision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/internal/watch"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

// desk is a keeper with files that a test changes.
type desk struct {
	*Keeper
	t     *testing.T
	fleet *fleet.Fleet
	dir   string
	// files are texts by name; named are those that the user named.
	files   map[string]string
	named   map[string]bool
	err     error
	log     bytes.Buffer
	printed int
	store   *Store
}

func newDesk(t *testing.T, dir string, store *Store) *desk {
	t.Helper()
	d := &desk{t: t, dir: dir, files: map[string]string{}, named: map[string]bool{}, store: store}
	log := slog.New(slog.NewTextHandler(&d.log, nil))
	e := engine.New(engine.Options{Logger: slog.New(slog.DiscardHandler), StateDir: t.TempDir()})
	d.fleet = fleet.New(e, fleet.Options{Logger: slog.New(slog.DiscardHandler), StartTimeout: 300 * time.Millisecond})
	d.Keeper = New(Options{Fleet: d.fleet, Load: d.load, Compile: d.compile, Store: store, Logger: log, Print: func(*diag.List) { d.printed++ }})
	t.Cleanup(func() {
		if err := e.Stop(t.Context()); err != nil {
			t.Log(err)
		}
	})
	return d
}

func (d *desk) compile(path string, text []byte) (*pipelines.Program, *diag.List) {
	registry := &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(strings.NewReader(""), &bytes.Buffer{})}
	return pipelines.Compile(path, text, pipelines.Options{Registry: registry})
}

func (d *desk) load() *Set {
	set := &Set{Findings: &diag.List{}, Folders: []string{d.dir}, Read: map[string]watch.Sum{}, Err: d.err}
	if d.err != nil {
		return set
	}
	for name, text := range d.files {
		path := filepath.Join(d.dir, name)
		f := File{Path: path, Text: []byte(text), Named: d.named[name]}
		f.Program, f.Findings = d.compile(path, f.Text)
		set.Read[path] = watch.SumOf(f.Text)
		set.Files = append(set.Files, f)
	}
	slices.SortFunc(set.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return set
}

// attempts makes one and compares what it did: the outcome, then "action pipeline outcome" for each step.
func (d *desk) attempts(want ...string) Attempt {
	d.t.Helper()
	a := d.Attempt(d.t.Context(), ByWatch)
	got := []string{string(a.Outcome)}
	for _, s := range a.Steps {
		got = append(got, fmt.Sprint(s.Action, " ", s.Pipeline, " ", s.Outcome))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Log(a.Report)
		d.t.Fatalf("attempt %d (-want +got):\n%s\n%s", a.Number, diff, d.log.String())
	}
	return a
}

// text is a pipeline with a version in its graph.
func text(name string, version int) string {
	return fmt.Sprintf("name: %s\nfrom: { generate: { body: n, rate: 100/s } }\nsteps:\n  - transform: { meta.v: '\"%d\"' }\nto: { drop: {} }\n", name, version)
}

// exclusively is a pipeline that holds what only one can have.
func exclusively(name string) string {
	return fmt.Sprintf("name: %s\nfrom: { stdin: {} }\nto: { drop: {} }\n", name)
}

const broken = "name: x\nfrom: { generat: {} }\nto: { drop: {} }\n"

func TestWhatIsBrokenKeepsWhatRanOfIt(t *testing.T) {
	d := newDesk(t, t.TempDir(), nil)
	d.files["a.yaml"], d.files["b.yaml"] = text("a", 1), text("b", 1)
	d.attempts("applied", "start a done", "start b done")
	d.attempts("unchanged", "keep a kept", "keep b kept")
	d.files["a.yaml"], d.files["b.yaml"] = broken, text("b", 2)
	a := d.attempts("partly", "keep a kept", "swap b done")
	if len(a.Older) != 1 || a.Older[0].Pipeline != "a" || len(a.Broken) != 1 || !strings.Contains(a.Report, "generat") {
		t.Errorf("%+v", a)
	}
	d.files["b.yaml"] = text("b", 3)
	d.attempts("partly", "keep a kept", "swap b done")
	delete(d.files, "a.yaml")
	d.attempts("applied", "stop a done", "keep b kept")
	d.files["a.yaml"] = broken
	d.attempts("refused", "keep b kept")
	if got, want := d.Counts(), (Counts{Applied: 1, Unchanged: 1, Partly: 2, Refused: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if last, _ := d.Last(); last.Number != 6 || last.Revision != 4 {
		t.Errorf("attempt %d, revision %d", last.Number, last.Revision)
	}
}

func TestWhatRunsComesBeforeWhatIsNew(t *testing.T) {
	d := newDesk(t, t.TempDir(), nil)
	d.files["b.yaml"], d.files["c.yaml"] = text("b", 1), exclusively("c")
	d.attempts("applied", "start b done", "start c done")
	d.files["a.yaml"] = text("b", 2) // earlier in the directory, with a name that runs
	a := d.attempts("refused", "keep b kept", "keep c kept")
	if !strings.Contains(string(a.Findings), "duplicate-name") || !strings.HasSuffix(a.Broken[0], "a.yaml") {
		t.Errorf("%+v", a)
	}
	d.files["a.yaml"] = exclusively("a")
	a = d.attempts("refused", "keep b kept", "keep c kept")
	if !strings.Contains(string(a.Findings), "conflicting-key") || !strings.HasSuffix(a.Broken[0], "a.yaml") {
		t.Errorf("%+v", a)
	}
	// A pipeline that wants what another has keeps what it ran.
	delete(d.files, "a.yaml")
	d.files["b.yaml"] = exclusively("b")
	a = d.attempts("refused", "keep b kept", "keep c kept")
	if len(a.Older) != 1 || a.Older[0].Pipeline != "b" && a.Older[0].Pipeline != "c" {
		t.Errorf("%+v", a)
	}
	// A file that takes the name of one that is gone takes its place.
	delete(d.files, "b.yaml")
	d.files["a.yaml"] = text("b", 3)
	d.attempts("applied", "swap b done", "keep c kept")
}

func TestAnErrorOfTheWholeChangesNothing(t *testing.T) {
	d := newDesk(t, t.TempDir(), nil)
	d.files["a.yaml"] = text("a", 1)
	d.attempts("applied", "start a done")
	d.files["a.yaml"], d.err = text("a", 2), fmt.Errorf("--env-file: it is gone")
	if a := d.attempts("refused"); a.Error == "" || a.Revision != 1 {
		t.Errorf("%+v", a)
	}
	d.err = nil
	d.attempts("applied", "swap a done")
}

func TestTheSameMistakeIsToldOnce(t *testing.T) {
	d := newDesk(t, t.TempDir(), nil)
	d.files["a.yaml"] = text("a", 1)
	d.attempts("applied", "start a done")
	d.files["b.yaml"] = broken
	d.attempts("refused", "keep a kept")
	d.attempts("refused", "keep a kept")
	if n := len(d.Attempts()); n != 2 || d.printed != 1 || strings.Count(d.log.String(), "reload refused") != 1 {
		t.Errorf("%d attempts remembered, printed %d times\n%s", n, d.printed, d.log.String())
	}
	d.Attempt(t.Context(), ByCommand) // who asks gets an answer
	if n := len(d.Attempts()); n != 3 || d.printed != 2 {
		t.Errorf("%d attempts remembered, printed %d times", n, d.printed)
	}
	for range 2 * remembered {
		d.Attempt(t.Context(), ByCommand)
	}
	if n := len(d.Attempts()); n != remembered {
		t.Errorf("%d attempts remembered", n)
	}
}

func TestAFileThatWasNamedMustBeRightAtTheStart(t *testing.T) {
	d := newDesk(t, t.TempDir(), nil)
	d.files["a.yaml"], d.files["b.yaml"], d.named["b.yaml"] = text("a", 1), broken, true
	if a := d.attempts("refused"); a.Pipelines() != 1 {
		t.Errorf("%+v", a)
	}
	d = newDesk(t, t.TempDir(), nil)
	d.files["a.yaml"], d.files["b.yaml"] = text("a", 1), broken
	d.attempts("partly", "start a done")
}

func TestAPipelineThatDoesNotStartStopsNoOther(t *testing.T) {
	d := newDesk(t, t.TempDir(), nil)
	unable := func(name string) string {
		return "name: " + name + "\nfrom: { file: { path: nowhere.txt } }\nto: { drop: {} }\n"
	}
	d.files["a.yaml"], d.files["b.yaml"] = text("a", 1), unable("b")
	a := d.attempts("partly", "start a done", "start b failed")
	if failed := a.Failed(); len(failed) != 1 || failed[0].Error == "" || failed[0].Err() == nil {
		t.Errorf("%+v", failed)
	}
	d.files["a.yaml"], d.files["b.yaml"] = unable("a"), text("b", 1)
	a = d.attempts("partly", "replace a failed", "start b done")
	if running := d.fleet.Running(); len(running) != 2 || running[0].Sources[0].Connector != "generate" {
		t.Errorf("a does not run as before: %+v", a)
	}
	d.files["a.yaml"] = text("a", 1)
	d.attempts("unchanged", "keep a kept", "keep b kept")
	if b, err := json.Marshal(a); err != nil || !bytes.Contains(b, []byte(`"outcome":"partly"`)) || !bytes.Contains(b, []byte(`"pipeline":"a"`)) {
		t.Errorf("%s %v", b, err)
	}
}

func TestAStartTakesWhatWasKept(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	d := newDesk(t, dir, open(t, state))
	for _, name := range []string{"a", "b", "c"} {
		d.files[name+".yaml"] = text(name, 1)
	}
	d.attempts("applied", "start a done", "start b done", "start c done")

	again := newDesk(t, dir, open(t, state))
	again.files["a.yaml"], again.files["b.yaml"] = broken, text("b2", 1) // c.yaml is gone
	a := again.attempts("partly", "start a done", "start b2 done")
	if len(a.Older) != 1 || !a.Older[0].Kept {
		t.Errorf("%+v", a)
	}
	var kept []string
	for _, k := range open(t, state).All() {
		kept = append(kept, k.Pipeline)
	}
	slices.Sort(kept)
	if diff := cmp.Diff([]string{"a", "b2"}, kept); diff != "" {
		t.Error(diff)
	}
	again.files["a.yaml"] = text("a", 2)
	again.attempts("applied", "swap a done", "keep b2 kept")
	if k, _ := open(t, state).ByPath(filepath.Join(dir, "a.yaml")); k.Text != text("a", 2) {
		t.Errorf("kept: %s", k.Text)
	}
	// A named file that is broken starts from what was kept of it, too.
	third := newDesk(t, dir, open(t, state))
	third.files["a.yaml"], third.named["a.yaml"] = broken, true
	third.attempts("partly", "start a done")
}
