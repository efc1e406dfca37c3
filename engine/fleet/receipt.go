package fleet

import (
	"time"

	"github.com/millstream/millstream/pipelines"
)

// Outcome is what became of one step of a reload.
type Outcome string

// The outcomes.
const (
	// Done: the pipeline is as it is wanted.
	Done Outcome = "done"
	// Kept: nothing changed, and nothing was done.
	Kept Outcome = "kept"
	// Failed: the step was not done. What ran before runs on untouched, where there was something; Error says why.
	Failed Outcome = "failed"
	// RolledBack: the old revision had to give something up for the new one, which then could not have it; the old one is started again.
	RolledBack Outcome = "rolled_back"
)

// Step is what a reload did with one pipeline. It names parts and fields, never values; errors have their secrets masked.
type Step struct {
	Pipeline string           `json:"pipeline"`
	Action   pipelines.Action `json:"action"`
	Reasons  []string         `json:"reasons,omitempty"`
	Outcome  Outcome          `json:"outcome"`
	// Error is why Outcome is failed or rolled back, or what went wrong beside a step that was done, such as a close that failed.
	Error string `json:"error,omitempty"`
	// Revision is what runs after the step, as logs and dead letters show it; empty when nothing does.
	Revision string `json:"revision,omitempty"`
	// KeptSources and KeptSinks went on without a reconnect. They are told where something was replaced.
	KeptSources []string `json:"kept_sources,omitempty"`
	KeptSinks   []string `json:"kept_sinks,omitempty"`
	// Drained is how many records were in flight when reading stopped for the step, and have ended since.
	Drained int64 `json:"drained"`
	// Pause is how long the sources that go on could not hand over records: 0 for a swap.
	Pause time.Duration `json:"pause_ns"`
	// Waited is how much of the pause it took until what was in flight had ended, which is the time of the nodes and sinks.
	Waited   time.Duration `json:"waited_ns"`
	Duration time.Duration `json:"duration_ns"`

	err error
}

// Err is what Error says, for errors.Is and errors.As; nil in a receipt that was read from JSON.
func (s *Step) Err() error { return s.err }

// Receipt is what one reload did: a step for each pipeline that ran or was to run, by name.
type Receipt struct {
	Began    time.Time     `json:"began"`
	Duration time.Duration `json:"duration_ns"`
	Steps    []Step        `json:"steps"`
}

// OK tells that every pipeline is as it is wanted.
func (r *Receipt) OK() bool {
	for i := range r.Steps {
		if o := r.Steps[i].Outcome; o != Done && o != Kept {
			return false
		}
	}
	return true
}

// Step finds the step of a pipeline; nil when there is none.
func (r *Receipt) Step(pipeline string) *Step {
	for i := range r.Steps {
		if r.Steps[i].Pipeline == pipeline {
			return &r.Steps[i]
		}
	}
	return nil
}
