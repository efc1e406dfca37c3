package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

func TestADeadLetterIsWaitedForWhateverItsSinkIs(t *testing.T) {
	bubble(t, "an optional sink that is down holds it back", func(t *testing.T) {
		r := newRig(t, 2, failing(9, permanent()))
		r.program.Nodes[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
		r.program.Sinks[1].Optional = true
		var down atomic.Bool
		down.Store(true)
		r.sinks[1].Answer = func(*flow.Outgoing) error {
			if down.Load() {
				return transient()
			}
			return nil
		}
		r.start()
		r.feed("!")
		time.Sleep(time.Minute)
		synctest.Wait()
		r.settled(0, 0)
		down.Store(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		r.settled(1, 0)
		r.got(1, "!")
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
		if b := r.p.Balance(); b.DeadLettered != 1 || b.OptionalDropped != 0 {
			t.Errorf("balance %+v", b)
		}
	})
}

// optionalOnly is a rig whose only sink is optional, with a queue for three messages of a byte, and what it logs.
func optionalOnly(t *testing.T) (*rig, *bytes.Buffer) {
	r, out := newRig(t, 1), &bytes.Buffer{}
	r.engine.opts.Logger = slog.New(slog.NewTextHandler(out, nil))
	r.program.Sinks[0].Optional = true
	r.program.Limits.InFlightBytes = 200
	return r, out
}

func TestARecordForOptionalSinksAloneIsCountedByWhatBecameOfIt(t *testing.T) {
	bubble(t, "delivered when the queue took it, dropped when it could not", func(t *testing.T) {
		r, out := optionalOnly(t)
		r.sinks[0].Gate = make(chan struct{})
		r.start()
		for range 6 {
			r.feed("a")
			synctest.Wait()
		}
		close(r.sinks[0].Gate)
		if err := r.stop(time.Minute); err != nil {
			t.Error(err)
		}
		n := int64(len(r.sinks[0].Delivered()))
		if b := r.p.Balance(); n == 0 || n == 6 || b.Delivered != n || b.Dropped != 6-n || b.OptionalDropped != 6-n {
			t.Errorf("%d arrived, balance %+v", n, b)
		}
		if s := r.p.Sinks()[0]; s.Dropped != 6-n || s.Delivered != n {
			t.Errorf("the sink counts %+v", s)
		}
		// One line at the first drop, and one at the end for those within the same second.
		if lines := strings.Count(out.String(), "an optional sink could not take messages"); lines != 2 {
			t.Errorf("%d lines tell of drops:\n%s", lines, out)
		}
	})
	bubble(t, "dropped when it cannot be prepared", func(t *testing.T) {
		r, _ := optionalOnly(t)
		r.sinks[0].Check = func(*flow.Message, *flow.Outgoing) error { return permanent() }
		r.run("a")
		if b := r.p.Balance(); b.Dropped != 1 || b.Filtered != 0 || b.OptionalDropped != 1 {
			t.Errorf("balance %+v", b)
		}
	})
	bubble(t, "delivered when another sink confirmed it", func(t *testing.T) {
		r := newRig(t, 2)
		r.program.Sources[0].Out = []pipelines.Edge{{Sink: true, Index: 0}, {Sink: true, Index: 1}}
		r.program.Sinks[1].Optional = true
		r.sinks[1].Check = func(*flow.Message, *flow.Outgoing) error { return permanent() }
		r.run("a")
		if b := r.p.Balance(); b.Delivered != 1 || b.Dropped != 0 || b.OptionalDropped != 1 {
			t.Errorf("balance %+v", b)
		}
	})
	bubble(t, "left when the pipeline stops before it is offered", func(t *testing.T) {
		r, _ := optionalOnly(t)
		r.sinks[0].Check = func(*flow.Message, *flow.Outgoing) error { time.Sleep(3 * time.Second); return nil }
		r.start()
		r.feed("a")
		synctest.Wait()
		_ = r.stop(time.Second)
		r.settled(0, 1)
	})
}
