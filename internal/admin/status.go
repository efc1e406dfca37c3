package admin

import (
	"context"
	"time"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/pipelines"
)

// Backend is what the API speaks for. Its methods are called concurrently.
type Backend interface {
	Status() Status
	// Reload makes one attempt and returns its receipt; the error says why there was none.
	Reload(ctx context.Context) (revision.Attempt, error)
	// Plan says what a reload would do if the process ran these paths, which are absolute; its own when there are none.
	Plan(paths []string) Plan
}

// Status is what a process does at this moment.
type Status struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Instance string    `json:"instance"`
	Started  time.Time `json:"started"`
	// Paths are the files and directories it runs, absolute; Watching tells whether it looks for changes by itself.
	Paths    []string `json:"paths"`
	Watching bool     `json:"watching"`
	// Draining: it has been told to stop.
	Draining bool `json:"draining"`
	// Revision and Hash are those of the last attempt.
	Revision int    `json:"revision"`
	Hash     string `json:"hash"`
	// Ready: every pipeline runs or has come to its end; NotReady names those that do not, and why.
	Ready    bool     `json:"ready"`
	NotReady []string `json:"not_ready,omitempty"`
	// Degraded names the sources and sinks of running pipelines that do not get through now, and why. They are ready all the same: they go on
	// by themselves once the other side does, and not a moment sooner by being started anew.
	Degraded  []string           `json:"degraded,omitempty"`
	Pipelines []Pipeline         `json:"pipelines"`
	Reloads   revision.Counts    `json:"reloads"`
	Attempts  []revision.Attempt `json:"attempts"` // the newest first
}

// Pipeline is one pipeline of a Status.
type Pipeline struct {
	Name string `json:"name"`
	Path string `json:"path"`
	// Revision is what logs and dead letters show; empty when it never started.
	Revision string       `json:"revision,omitempty"`
	State    engine.State `json:"state"`
	// Older: it runs an older text than its file holds, because that has errors.
	Older   bool               `json:"older,omitempty"`
	Balance engine.Balance     `json:"balance"`
	Nodes   []engine.NodeCount `json:"nodes"`
	Sinks   []engine.SinkCount `json:"sinks"`
	// Paused says why State is paused.
	Paused *engine.Pause `json:"paused,omitempty"`
	// Troubles say why State is degraded; those of a pipeline in another state are there as well.
	Troubles []engine.Trouble `json:"troubles,omitempty"`
	// Lag is how much waits at the sources that know it.
	Lag   []engine.SourceLag `json:"lag,omitempty"`
	Error string             `json:"error,omitempty"`
}

// Plan is what a reload would do.
type Plan struct {
	Steps []pipelines.PlanStep `json:"steps"`
	// Broken are the files with errors; Report shows their findings as validate prints them.
	Broken []string `json:"broken,omitempty"`
	Report string   `json:"report,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// Describe fills in what is known of pipelines and attempts, and judges whether all is ready.
func (s *Status) Describe(running []*engine.Pipeline, attempts []revision.Attempt) {
	s.Attempts = attempts
	older, listed := map[string]bool{}, map[string]bool{}
	if len(attempts) > 0 {
		s.Revision, s.Hash = attempts[0].Revision, attempts[0].Hash
		for _, o := range attempts[0].Older {
			older[o.Pipeline] = true
		}
	} else {
		s.NotReady = append(s.NotReady, "starting")
	}
	for _, p := range running {
		d := Pipeline{
			Name: p.Name(), Path: p.Program().Path, Revision: p.Revision(), State: p.State(), Older: older[p.Name()],
			Balance: p.Balance(), Nodes: p.Nodes(), Sinks: p.Sinks(), Troubles: p.Troubles(), Lag: p.Lags(), Paused: p.Paused(),
		}
		if d.State == engine.Running && len(d.Troubles) > 0 {
			d.State = engine.Degraded
		}
		if err := p.Err(); err != nil {
			d.Error = p.Program().Mask(err.Error())
		}
		listed[d.Name] = true
		s.add(d)
	}
	if len(attempts) == 0 {
		return
	}
	for _, step := range attempts[0].Failed() {
		if !listed[step.Pipeline] && step.Action != pipelines.Stop {
			s.add(Pipeline{Name: step.Pipeline, State: engine.Failed, Error: step.Error})
		}
	}
	s.Ready = len(s.NotReady) == 0
}

func (s *Status) add(p Pipeline) {
	s.Pipelines = append(s.Pipelines, p)
	switch p.State {
	case engine.Running, engine.Stopped:
	case engine.Degraded:
		for _, t := range p.Troubles {
			s.Degraded = append(s.Degraded, p.Name+": "+t.Kind+" "+t.Part+": "+t.Message)
		}
	case engine.Draining:
		if s.Draining {
			s.NotReady = append(s.NotReady, p.Name+": "+string(p.State))
		}
	default:
		s.NotReady = append(s.NotReady, p.Name+": "+string(p.State))
	}
}

// public is a status without what quotes files.
func (s Status) public() Status {
	attempts := make([]revision.Attempt, len(s.Attempts))
	for i := range s.Attempts {
		attempts[i] = s.Attempts[i].Public()
	}
	s.Attempts = attempts
	return s
}
