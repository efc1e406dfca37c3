package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// answering is a rig whose source's senders wait for what becomes of their records.
func answering(t *testing.T, nodes ...pipelines.Node) *rig {
	r := newRig(t, 2, nodes...)
	r.program.Sources[0].Traits, r.program.Sources[0].Order = flow.Traits{Answers: true}, pipelines.Unordered
	return r
}

// refused checks which records came back with a reason.
func (r *rig) refused(want ...flow.Code) {
	r.t.Helper()
	var got []flow.Code
	for _, rec := range r.in.Left() {
		if e := rec.Refused(); e != nil {
			got = append(got, e.Code)
		} else {
			got = append(got, "")
		}
	}
	if len(got) != len(want) {
		r.t.Fatalf("left with %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			r.t.Errorf("left with %q, want %q", got, want)
		}
	}
}

func TestWhoWaitsForAnAnswerIsToldOfAFailure(t *testing.T) {
	bubble(t, "of a node, and the others go on", func(t *testing.T) {
		r := answering(t, failing(1, permanent()))
		r.start()
		r.feed("a", "!", "b")
		synctest.Wait()
		r.feed("c")
		synctest.Wait()
		r.state(Running)
		r.got(0, "a", "b", "c")
		r.refused(flow.CodeRefused)
		_ = r.stop(time.Second)
		r.even()
		if b := r.p.Balance(); b.In != 3 || b.Delivered != 3 || b.Returned != 1 || b.InFlight != 0 {
			t.Errorf("balance %+v", b)
		}
	})
	bubble(t, "of a sink", func(t *testing.T) {
		r := answering(t)
		r.sinks[0].Answer = func(o *flow.Outgoing) error {
			if string(o.Body) == "!" {
				return permanent()
			}
			return nil
		}
		r.start()
		r.feed("a", "!", "b")
		synctest.Wait()
		r.got(0, "a", "b")
		r.refused(flow.CodeRefused)
		_ = r.stop(time.Second)
		r.even()
	})
	bubble(t, "after its retries", func(t *testing.T) {
		r := answering(t, failing(9, transient()))
		r.program.Nodes[0].OnError.Retries = 2
		r.start()
		r.feed("!", "a")
		time.Sleep(time.Hour)
		synctest.Wait()
		r.got(0, "a")
		r.refused(flow.CodeUnavailable)
		_ = r.stop(time.Second)
		r.even()
	})
	bubble(t, "of what the source could not take", func(t *testing.T) {
		r := answering(t)
		r.start()
		r.in.Feed(r.lane, flow.Record{Attempt: 1, Failure: flow.Errorf(flow.Permanent, flow.CodeTooLarge, "too large")})
		synctest.Wait()
		r.refused(flow.CodeTooLarge)
		_ = r.stop(time.Second)
	})
}

func TestAFailureIsKeptWhereTheFileSaysSo(t *testing.T) {
	bubble(t, "then: pause pauses", func(t *testing.T) {
		r := answering(t, failing(1, permanent()))
		r.program.Nodes[0].OnError.Unsaid = false
		r.start()
		r.feed("!")
		synctest.Wait()
		r.state(Paused)
		r.settled(0, 0)
		_ = r.stop(time.Second)
		r.refused("")
	})
	bubble(t, "a mistake in the configuration pauses", func(t *testing.T) {
		r := answering(t, failing(1, flow.Errorf(flow.ConfigError, flow.CodeMissing, "no topic")))
		r.start()
		r.feed("!")
		synctest.Wait()
		r.state(Paused)
		_ = r.stop(time.Second)
		r.refused("")
	})
	bubble(t, "a dead letter is an end like any other", func(t *testing.T) {
		r := answering(t, failing(1, permanent()))
		r.program.Nodes[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
		r.start()
		r.feed("!")
		synctest.Wait()
		r.settled(1, 0)
		_ = r.stop(time.Second)
	})
}
