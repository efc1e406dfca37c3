package engine

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

func TestNoMoreBatchesAreComputedAtATimeThanThereAreCores(t *testing.T) {
	bubble(t, "unless a node waits", func(t *testing.T) {
		var now, highest atomic.Int64
		r := newRig(t, 1, pipelines.Node{Name: "n", Verb: "test", Processor: flow.ProcessorFunc(func(m *flow.Message, e *flow.Emitter) error {
			if n := now.Add(1); n > highest.Load() {
				highest.Store(n)
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
			e.Emit(0, m)
			return nil
		})})
		r.start()
		for range 50 {
			r.feed(numbered(2, 2)...)
		}
		r.in.End(nil)
		<-r.p.Done()
		r.settled(100, 0)
		if most := int64(max(2, runtime.GOMAXPROCS(0))); highest.Load() > most {
			t.Errorf("%d batches were computed at a time, and there are %d cores", highest.Load(), most)
		}
	})
}
