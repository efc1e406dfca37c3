package revision

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/internal/failpoint"
	"github.com/millstream/millstream/internal/watch"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// Options of a keeper; Fleet and Load are needed.
type Options struct {
	Fleet *fleet.Fleet
	// Load reads all files anew.
	Load func() *Set
	// Compile compiles a text as Load would; it is used for what Store kept.
	Compile func(path string, text []byte) (*pipelines.Program, *diag.List)
	// Store remembers last good revisions; nil remembers none.
	Store *Store
	// Took is told what was read before anything is done with it; may be nil.
	Took func(read map[string]watch.Sum)
	// Hide is told of all programs whose secrets may be in what is logged from now on; may be nil.
	Hide func(programs []*pipelines.Program)
	// Print prints findings, for people; may be nil.
	Print  func(findings *diag.List)
	Logger *slog.Logger
}

// remembered is how many receipts are kept for status.
const remembered = 20

// Keeper makes attempts one after another and remembers them.
type Keeper struct {
	opts Options

	attempting sync.Mutex
	// held is what runs of each file, by path; guarded by attempting, and so are quiet and printed.
	held  map[string]held
	quiet string // the last attempt that had nothing to tell but this again
	// printed are the findings that were printed last.
	printed string

	mu       sync.Mutex
	attempts []Attempt // the newest first
	counts   Counts
}

// held is what runs of a file.
type held struct {
	program *pipelines.Program
	// older: the file has errors, and this is what ran before; stored: it came from the store.
	older, stored bool
}

// Counts says how attempts to reload ended; the start is none of them.
type Counts struct {
	Applied   int64 `json:"applied"`
	Unchanged int64 `json:"unchanged"`
	Partly    int64 `json:"partly"`
	Refused   int64 `json:"refused"`
}

// New makes a keeper of what the fleet runs.
func New(o Options) *Keeper {
	if o.Took == nil {
		o.Took = func(map[string]watch.Sum) {}
	}
	if o.Hide == nil {
		o.Hide = func([]*pipelines.Program) {}
	}
	if o.Print == nil {
		o.Print = func(*diag.List) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Keeper{opts: o, held: map[string]held{}}
}

// Attempts are the last receipts, the newest first.
func (k *Keeper) Attempts() []Attempt {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.attempts)
}

// Last is the last receipt; false before the first.
func (k *Keeper) Last() (Attempt, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.attempts) == 0 {
		return Attempt{}, false
	}
	return k.attempts[0], true
}

// Counts are the counts of reloads so far.
func (k *Keeper) Counts() Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counts
}

// Attempt loads the files and lets the fleet take over what is right. What is wrong changes nothing: a file with errors leaves its pipeline
// as it runs, and a pipeline that cannot be exchanged runs on. The first attempt is the start: a file with errors that has run before is
// started from what was kept of it, and when a file that the user named has neither, nothing is started. ctx ends the starting and
// draining; the receipt is logged and remembered in any case.
func (k *Keeper) Attempt(ctx context.Context, trigger string) Attempt {
	k.attempting.Lock()
	defer k.attempting.Unlock()
	a := Attempt{Trigger: trigger, Began: time.Now(), Number: 1}
	if last, have := k.Last(); have {
		a.Number, a.Revision = last.Number+1, last.Revision
	}
	set := k.opts.Load()
	k.opts.Took(set.Read)
	a.Hash, a.err = set.Hash(), set.Err
	if a.err != nil {
		a.Error = a.err.Error()
		k.finish(ctx, &a)
		return a
	}
	failpoint.Hit(failpoint.ReloadLoaded)
	c := k.choose(set, a.Number == 1)
	a.Broken, a.pipelines = c.broken, len(c.programs)
	k.tell(&a, c.findings)
	if !c.refused {
		k.apply(ctx, &a, c)
	}
	k.finish(ctx, &a)
	return a
}

// tell prints findings before anything is done, which may take long: those of an attempt that looks for changes and finds what it found
// before are not told again, nor are warnings.
func (k *Keeper) tell(a *Attempt, findings *diag.List) {
	if findings.Len() == 0 {
		k.printed = ""
		return
	}
	var asJSON, asText bytes.Buffer
	_ = diag.Write(&asJSON, diag.FormatJSON, findings) // a buffer takes everything
	_ = diag.Write(&asText, diag.FormatText, findings)
	a.Findings, a.Report = asJSON.Bytes(), asText.String()
	if k.printed != a.Report || findings.HasErrors() && a.Trigger != ByWatch {
		k.opts.Print(findings)
	}
	k.printed = a.Report
}

// apply lets the fleet take over, and remembers what runs.
func (k *Keeper) apply(ctx context.Context, a *Attempt, c *choice) {
	k.opts.Hide(slices.Concat(k.opts.Fleet.Running(), c.programs))
	r := k.opts.Fleet.Apply(ctx, c.programs)
	failpoint.Hit(failpoint.ReloadApplied)
	a.Steps, a.interrupted = r.Steps, ctx.Err() != nil
	for _, s := range r.Steps {
		a.Drained += s.Drained
		a.Pause = max(a.Pause, s.Pause)
	}
	next := map[string]held{}
	for path, h := range c.held {
		step := r.Step(h.program.Name)
		if step != nil && step.Outcome != fleet.Done && step.Outcome != fleet.Kept {
			if old, had := k.held[path]; had && old.program.Name == h.program.Name {
				h = old // it runs on
			}
		}
		next[path] = h
		if h.older {
			a.Older = append(a.Older, Older{Pipeline: h.program.Name, Path: path, Kept: h.stored})
		}
	}
	slices.SortFunc(a.Older, func(x, y Older) int { return cmp.Compare(x.Path, y.Path) })
	k.held = next
	k.opts.Hide(slices.Concat(k.opts.Fleet.Running(), c.programs))
	k.remember(&r, c)
}

// Preview says what an attempt with these files would do.
func (k *Keeper) Preview(set *Set) (steps []pipelines.PlanStep, broken []string, findings *diag.List) {
	k.attempting.Lock()
	defer k.attempting.Unlock()
	c := k.choose(set, false)
	return pipelines.Plan(k.opts.Fleet.Running(), c.programs), c.broken, c.findings
}

// remember keeps the texts of what was taken over, and forgets the pipelines that are gone.
func (k *Keeper) remember(r *fleet.Receipt, c *choice) {
	if k.opts.Store == nil {
		return
	}
	fail := func(err error) {
		if err != nil {
			k.opts.Logger.Warn("last good revision not kept", "error", err)
		}
	}
	for name, f := range c.good {
		if s := r.Step(name); s == nil || s.Outcome == fleet.Done || s.Outcome == fleet.Kept {
			fail(k.opts.Store.Keep(name, c.absolute[f.Path], string(f.Text)))
		}
	}
	for _, kept := range k.opts.Store.All() {
		if c.gone(kept) {
			fail(k.opts.Store.Forget(kept.Pipeline))
		}
	}
	failpoint.Hit(failpoint.ReloadKept)
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

// repeats tells whether an attempt, made by looking for changes, read what was read before and failed again.
func (k *Keeper) repeats(a *Attempt) bool {
	what := ""
	if a.Outcome == Refused && a.Trigger == ByWatch {
		what = fmt.Sprint(a.Hash, a.Error, a.Report)
		for _, s := range a.Failed() {
			what += "\n" + s.Pipeline + s.Error
		}
	}
	same := what != "" && what == k.quiet
	k.quiet = what
	return same
}

// finish judges an attempt, logs and remembers it. What repeats itself is not told again.
func (k *Keeper) finish(ctx context.Context, a *Attempt) {
	a.judge()
	if a.Outcome == Applied || a.Outcome == Partly || a.Number == 1 {
		a.Revision++
	}
	a.Duration = time.Since(a.Began)
	if k.repeats(a) {
		return
	}
	k.mu.Lock()
	k.attempts = slices.Insert(k.attempts, 0, *a)
	k.attempts = k.attempts[:min(len(k.attempts), remembered)]
	if a.Number > 1 {
		switch a.Outcome {
		case Applied:
			k.counts.Applied++
		case Unchanged:
			k.counts.Unchanged++
		case Partly:
			k.counts.Partly++
		case Refused:
			k.counts.Refused++
		}
	}
	k.mu.Unlock()
	k.log(ctx, a)
}
