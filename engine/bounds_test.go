package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// deaf is a sink that answers only when it is released, whatever its contexts say.
type deaf struct{ release chan struct{} }

func (d deaf) Send(_ context.Context, _ []*flow.Outgoing, done func()) { <-d.release; done() }
func (d deaf) Close(context.Context) error                             { <-d.release; return nil }

func TestAStopEndsWhateverTheSinkDoes(t *testing.T) {
	bubble(t, "with the deadline's error", func(t *testing.T) {
		r, d := newRig(t, 1), deaf{make(chan struct{})}
		r.program.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { return d, nil }
		r.start()
		r.feed("a")
		synctest.Wait()
		if err := r.stop(time.Second); !errors.Is(err, ErrDeadline) {
			t.Errorf("error %v", err)
		}
		<-r.p.Done()
		r.state(Failed)
		r.settled(0, 0)
		if _, err := r.engine.Start(t.Context(), r.program); !errors.Is(err, ErrDuplicate) {
			t.Errorf("a second one starts beside what was left behind: %v", err)
		}
		close(d.release)
		synctest.Wait()
		r.even()
	})
	bubble(t, "also when it hangs in Close alone", func(t *testing.T) {
		r, d := newRig(t, 1), deaf{make(chan struct{})}
		r.program.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { return d, nil }
		r.start()
		r.in.End(nil)
		<-r.p.Done()
		r.state(Failed)
		close(d.release)
		synctest.Wait()
	})
}

func TestAFailedPipelineDoesNotDrainForEver(t *testing.T) {
	for name, finite := range map[string]bool{"stop": false, "pause where all sources are finite": true} {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, 1, failing(9, permanent()))
			r.program.Sources[0].Traits.Finite = finite
			r.program.Nodes[0].OnError.Then = pipelines.ThenStop
			if finite {
				r.program.Nodes[0].OnError.Then = pipelines.ThenPause
			}
			r.sinks[0].Answer = func(*flow.Outgoing) error { return transient() }
			r.start()
			r.feed("k:a", "j:!")
			<-r.p.Done()
			r.state(Failed)
			r.settled(0, 2)
			r.even()
		})
	}
}

func TestContinueWithNothingBehindItPauses(t *testing.T) {
	bubble(t, "it does not drop", func(t *testing.T) {
		r := newRig(t, 1, failing(1, permanent()))
		r.program.Nodes[0].OnError = pipelines.Policy{Then: pipelines.ThenContinue}
		r.program.Nodes[0].Ports = [][]pipelines.Edge{nil}
		r.start()
		r.feed("!")
		synctest.Wait()
		r.state(Paused)
		r.p.Resume()
		synctest.Wait()
		r.settled(1, 0)
		if b := r.p.Balance(); b.Dropped != 0 {
			t.Errorf("balance %+v", b)
		}
		_ = r.stop(time.Second)
	})
}
