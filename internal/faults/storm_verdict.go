package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/pipelines"
)

// StormVerdict is what came of a storm.
type StormVerdict struct {
	Verdict
	Applied int `json:"applied"`
	Refused int `json:"refused"`
	// Wrong counts the refused files by what was wrong with them.
	Wrong map[string]int `json:"wrong"`
	// Mixed are messages of no one version; Backwards those of an older version than one before of their key.
	Mixed     int `json:"mixed"`
	Backwards int `json:"backwards"`
	// SwapPause is the longest pause of a swap. Kept and Handed are the pauses of replaces that kept the source, and that exchanged it;
	// Attempts is how long the reloads took.
	Swaps     int           `json:"swaps"`
	SwapPause time.Duration `json:"swap_pause_ns"`
	Kept      *Spread       `json:"pause_source_kept_ms"`
	Handed    *Spread       `json:"pause_source_exchanged_ms"`
	// KeptNet and HandedNet are the same without what nodes and sinks took until nothing was in flight.
	KeptNet   *Spread `json:"net_pause_source_kept_ms"`
	HandedNet *Spread `json:"net_pause_source_exchanged_ms"`
	Attempts  *Spread `json:"reload_ms"`
	// FilesBefore and FilesAfter are the descriptors of the process after its start and after the last reload, ReadersBefore and
	// ReadersAfter who reads the queue or topic then.
	FilesBefore   int `json:"files_before"`
	FilesAfter    int `json:"files_after"`
	ReadersBefore int `json:"readers_before"`
	ReadersAfter  int `json:"readers_after"`
	// GoroutinesFresh are those of a process that has seen no reload, beside Goroutines.
	GoroutinesFresh int `json:"goroutines_fresh"`
	// Still is what came of the pipeline that did not change.
	Still Still `json:"still"`

	kept, handed, keptNet, handedNet, attempts []float64
}

// count looks at the receipt of a reload that must be applied, or refused when something is wrong.
func (v *StormVerdict) count(a *revision.Attempt, wrong string) error {
	if a.OK() != (wrong == "") {
		return fmt.Errorf("the reload is %s", a.Outcome)
	}
	v.attempts = append(v.attempts, milliseconds(a.Duration))
	if wrong != "" {
		v.Refused++
		if v.Wrong == nil {
			v.Wrong = map[string]int{}
		}
		v.Wrong[wrong]++
	} else {
		v.Applied++
	}
	for _, step := range a.Steps {
		if step.Pipeline == stillName && step.Action != pipelines.Keep {
			return errors.New("the pipeline that did not change was touched")
		}
	}
	return nil
}

// exchanged looks at the receipts, the newest first, for how the pipeline was exchanged: where the process was quick to see the change
// itself, the reload that was asked for found nothing to do.
func (v *StormVerdict) exchanged(attempts []revision.Attempt) error {
	for _, a := range attempts[:min(2, len(attempts))] {
		at := slices.IndexFunc(a.Steps, func(s fleet.Step) bool { return s.Pipeline == stormName })
		if at < 0 {
			continue
		}
		switch step := a.Steps[at]; {
		case step.Action == pipelines.Keep:
			continue
		case step.Action == pipelines.Swap:
			v.Swaps++
			v.SwapPause = max(v.SwapPause, step.Pause)
		case step.Action == pipelines.Replace && slices.Contains(step.KeptSources, "from"):
			v.kept, v.keptNet = append(v.kept, milliseconds(step.Pause)), append(v.keptNet, milliseconds(step.Pause-step.Waited))
		case step.Action == pipelines.Replace:
			v.handed, v.handedNet = append(v.handed, milliseconds(step.Pause)), append(v.handedNet, milliseconds(step.Pause-step.Waited))
		default:
			return fmt.Errorf("what is done with the pipeline that changed is: %s", step.Action)
		}
		return nil
	}
	return errors.New("the pipeline that changed was not exchanged")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// finish waits until everything has come, ends the process in order, and looks at all that came.
func (s *Storm) finish(v *StormVerdict) error {
	v.Kept, v.Handed, v.KeptNet, v.HandedNet = NewSpread(v.kept), NewSpread(v.handed), NewSpread(v.keptNet), NewSpread(v.handedNet)
	v.Attempts = NewSpread(v.attempts)
	p, c := s.process, &follower{Checker: CheckerOf(s.way.gen)}
	missing, deadline := c.missing, time.Now().Add(s.Patience)
	for c.catchUp(s.way.Route); !c.Complete(); c.catchUp(s.way.Route) {
		if c.missing < missing {
			missing, deadline = c.missing, time.Now().Add(s.Patience)
		}
		if time.Now().After(deadline) {
			v.Verdict = c.Verdict()
			return fmt.Errorf("%d messages are missing\n%s", missing, p.Dump())
		}
		if p.WaitExit(50 * time.Millisecond) {
			return fmt.Errorf("the process ended by itself with %d\n%s", p.Code(), p.Log())
		}
	}
	p.Terminate()
	if !p.WaitExit(20 * time.Second) {
		return fmt.Errorf("the process did not end after SIGTERM\n%s", p.Dump())
	}
	time.Sleep(300 * time.Millisecond) // what nobody should have sent would come now
	c.catchUp(s.way.Route)
	v.Verdict = c.Verdict()
	v.Goroutines, v.Exit = p.goroutines(), p.Code()
	v.versions(s.way.Out.Arrivals(0))
	v.Still = s.still.judge()
	return nil
}

// versions looks at the marks that the versions of the pipeline have made.
func (v *StormVerdict) versions(all []Arrival) {
	last := map[string]int{}
	for _, a := range all {
		var m struct {
			Key  string
			V, W int
		}
		if json.Unmarshal(a.Payload, &m) != nil || m.V != m.W {
			v.Mixed++
		}
		if m.V < last[m.Key] {
			v.Backwards++
		}
		last[m.Key] = m.V
	}
}

// Files is how many descriptors the process has open.
func (p *Process) Files() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		return -1
	}
	return len(entries)
}
