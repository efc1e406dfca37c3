package revision

import (
	"encoding/json"
	"time"

	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/pipelines"
)

// Outcome is what became of an attempt as a whole.
type Outcome string

// The outcomes.
const (
	// Applied: everything runs as the files say.
	Applied Outcome = "applied"
	// Unchanged: everything ran as the files say already.
	Unchanged Outcome = "unchanged"
	// Partly: some pipelines run as the files say, and others, for which Findings or Steps say why, as before.
	Partly Outcome = "partly"
	// Refused: nothing was changed.
	Refused Outcome = "refused"
)

// What attempts are made for.
const (
	ByStart   = "start"
	ByWatch   = "watch"
	BySignal  = "signal"
	ByCommand = "command"
)

// Attempt is the receipt of one attempt to run what the files say: at the start, and at each reload.
type Attempt struct {
	// Number counts attempts from 1, the start.
	Number int `json:"attempt"`
	// Revision counts those that changed what runs; it is the one that runs after the attempt.
	Revision int `json:"revision"`
	// Hash is over the content of all files that were read.
	Hash     string        `json:"hash,omitempty"`
	Trigger  string        `json:"trigger"`
	Outcome  Outcome       `json:"outcome"`
	Began    time.Time     `json:"began"`
	Duration time.Duration `json:"duration_ns"`
	// Drained is how many records were in flight where reading stopped, and ended since; Pause the longest time that one pipeline's sources
	// could not hand over.
	Drained int64         `json:"drained"`
	Pause   time.Duration `json:"pause_ns"`
	Steps   []fleet.Step  `json:"steps"`
	// Older are the pipelines that run an older text than their file holds, because that has errors.
	Older []Older `json:"older,omitempty"`
	// Broken are the files with errors, whether something of them runs or not.
	Broken []string `json:"broken,omitempty"`
	// Findings are those of the files, in the shape of validate --format json.
	Findings json.RawMessage `json:"findings,omitempty"`
	// Report is the same as validate prints it. It quotes the files.
	Report string `json:"report,omitempty"`
	// Error is why nothing could be loaded at all.
	Error string `json:"error,omitempty"`

	pipelines int // how many there are to run
	err       error
	// interrupted: the process was told to stop meanwhile.
	interrupted bool
}

// Older is a pipeline that runs an older text than its file holds.
type Older struct {
	Pipeline string `json:"pipeline"`
	Path     string `json:"path"`
	// Kept: the text came from the state directory.
	Kept bool `json:"from_state"`
}

// OK tells that everything runs as the files say.
func (a *Attempt) OK() bool { return a.Outcome == Applied || a.Outcome == Unchanged }

// Err is what Error says.
func (a *Attempt) Err() error { return a.err }

// Interrupted tells that the attempt was ended before it was through.
func (a *Attempt) Interrupted() bool { return a.interrupted }

// Pipelines is how many pipelines there are to run, whether they do or not.
func (a *Attempt) Pipelines() int { return a.pipelines }

// Failed are the steps that were not done.
func (a *Attempt) Failed() []fleet.Step {
	var failed []fleet.Step
	for _, s := range a.Steps {
		if s.Outcome != fleet.Done && s.Outcome != fleet.Kept {
			failed = append(failed, s)
		}
	}
	return failed
}

// Public is the receipt without what quotes files.
func (a Attempt) Public() Attempt {
	a.Report = ""
	return a
}

// count says how many steps of an action were done.
func (a *Attempt) count(action pipelines.Action) int {
	n := 0
	for _, s := range a.Steps {
		if s.Action == action && (s.Outcome == fleet.Done || s.Outcome == fleet.Kept) {
			n++
		}
	}
	return n
}

// judge sets the outcome from the rest.
func (a *Attempt) judge() {
	changed, wrong := 0, len(a.Broken)+len(a.Failed())
	for _, s := range a.Steps {
		if s.Outcome == fleet.Done && s.Action != pipelines.Keep {
			changed++
		}
	}
	switch {
	case a.err != nil, wrong > 0 && changed == 0:
		a.Outcome = Refused
	case wrong > 0:
		a.Outcome = Partly
	case changed > 0:
		a.Outcome = Applied
	default:
		a.Outcome = Unchanged
	}
}
