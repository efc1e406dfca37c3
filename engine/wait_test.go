package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// pacing is a node that lets one message pass in each gap of time, and the first at once.
func pacing(gap time.Duration) func(m *flow.Message, e *flow.Emitter) error {
	var mu sync.Mutex
	var next time.Time
	return func(m *flow.Message, e *flow.Emitter) error {
		err := e.Wait(func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); next.Before(now) {
				next = now
			}
			left := time.Until(next)
			next = next.Add(gap)
			return left
		})
		e.Emit(0, m)
		return err
	}
}

func TestWhatANodePacesLeavesAsItPassesTheNode(t *testing.T) {
	for most, n := range map[time.Duration]pipelines.Node{
		0: node(pacing(time.Second)), 4 * time.Second: waiting(4, pacing(time.Second)), // four side by side
	} {
		bubble(t, most.String()+" late at most", func(t *testing.T) {
			r := newRig(t, 1, n)
			start := time.Now()
			var at []time.Duration
			r.sinks[0].Answer = func(*flow.Outgoing) error {
				at = append(at, time.Since(start))
				return nil
			}
			r.start()
			var want []string
			for i := range 20 { // more batches than there are workers
				bodies := []string{fmt.Sprintf("k:%d-0", i), fmt.Sprintf("k:%d-1", i), fmt.Sprintf("k:%d-2", i)}
				want = append(want, bodies...)
				r.feed(bodies...)
			}
			r.in.End(nil)
			<-r.p.Done()
			r.got(0, want...)
			for i, d := range at {
				if late := d - time.Duration(i)*time.Second; late < 0 || late > most {
					t.Errorf("message %d left after %s", i, d)
				}
			}
			r.settled(60, 0)
		})
	}
}

func TestWhatWaitsComesBackWhenThePipelineGivesUp(t *testing.T) {
	bubble(t, "by a stop at once", func(t *testing.T) {
		r := newRig(t, 1, node(pacing(time.Hour)))
		r.start()
		r.feed("a", "b", "c")
		r.feed("d")
		synctest.Wait()
		r.got(0, "a")
		_ = r.stop(time.Second)
		r.settled(1, 3)
	})
	bubble(t, "when the lane is taken away", func(t *testing.T) {
		r := newRig(t, 1, node(pacing(time.Hour)))
		r.start()
		r.feed("a", "b")
		r.feed("c")
		synctest.Wait()
		r.lane.Abandon()
		synctest.Wait()
		_ = r.stop(time.Second)
		r.settled(1, 2)
	})
}

func TestPausePassesTimeWhereTheClockStandsStill(t *testing.T) {
	bubble(t, "before retries and for nodes that pace", func(t *testing.T) {
		r := newRig(t, 1, node(pacing(time.Hour)), failing(3, transient()))
		var paused []time.Duration
		r.engine.opts.Pause = func(_ context.Context, d time.Duration) { paused = append(paused, d) }
		start := time.Now()
		r.run("a:!", "b")
		r.got(0, "a:!", "b")
		if len(paused) < 4 || time.Since(start) != 0 {
			t.Errorf("%v paused, %s passed", paused, time.Since(start))
		}
	})
}

func TestASinkThatIsDownWhileANodePacesHoldsNobodyElse(t *testing.T) {
	bubble(t, "for ever", func(t *testing.T) {
		r := newRig(t, 1, node(pacing(time.Minute)))
		downUntil := time.Now().Add(time.Hour)
		r.sinks[0].Answer = func(*flow.Outgoing) error {
			if time.Now().Before(downUntil) {
				return transient()
			}
			return nil
		}
		r.start()
		for i := range 20 { // more lanes than workers
			r.in.Feed(flow.NewLane(fmt.Sprint(i)), flow.Record{Body: []byte("a")}, flow.Record{Body: []byte("b")})
		}
		r.in.End(nil)
		<-r.p.Done()
		r.settled(40, 0)
		r.even()
	})
}
