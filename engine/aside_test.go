package engine

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// waiter is a node that waits for somebody outside.
type waiter struct {
	flow.ProcessorFunc
	n int
}

func (w waiter) Concurrency() int { return w.n }

func waiting(n int, f func(m *flow.Message, e *flow.Emitter) error) pipelines.Node {
	return pipelines.Node{Name: "n", Verb: "test", Processor: waiter{f, n}}
}

// numbered are n bodies of a few keys: k0:0, k1:1, …
func numbered(n, keys int) []string {
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = fmt.Sprintf("k%d:%d", i%keys, i)
	}
	return bodies
}

func TestRecordsOfABatchWaitSideBySideAndLeaveInOrder(t *testing.T) {
	const records, each = 200, 20 * time.Millisecond
	took := func(t *testing.T, concurrency int) (took time.Duration, most int64) {
		var now, highest atomic.Int64
		r := newRig(t, 1, waiting(concurrency, func(m *flow.Message, e *flow.Emitter) error {
			if n := now.Add(1); n > highest.Load() {
				highest.Store(n)
			}
			time.Sleep(each)
			now.Add(-1)
			e.Emit(0, m)
			return nil
		}))
		start := time.Now()
		r.run(numbered(records, 7)...)
		r.got(0, numbered(records, 7)...)
		r.settled(records, 0)
		return time.Since(start), highest.Load()
	}
	bubble(t, "one after another", func(t *testing.T) {
		if d, most := took(t, 1); d != records*each || most != 1 {
			t.Errorf("%s, %d at a time", d, most)
		}
	})
	bubble(t, "sixteen at a time", func(t *testing.T) {
		if d, most := took(t, 16); d != 13*each || most != 16 {
			t.Errorf("%s, %d at a time", d, most)
		}
	})
}

func TestOrderHoldsHoweverLongEachRecordTakes(t *testing.T) {
	bubble(t, "in a graph that fans out", func(t *testing.T) {
		r := newRig(t, 2, waiting(16, func(m *flow.Message, e *flow.Emitter) error {
			time.Sleep(rand.N(20 * time.Millisecond))
			e.Emit(0, m)
			return nil
		}))
		r.program.Nodes[0].Ports = [][]pipelines.Edge{{{Sink: true, Index: 0}, {Sink: true, Index: 1}}}
		r.program.Sinks[1].Optional = true
		r.start()
		for range 5 {
			r.feed(numbered(100, 3)...)
		}
		r.in.End(nil)
		<-r.p.Done()
		var want []string
		for range 5 {
			want = append(want, numbered(100, 3)...)
		}
		r.got(0, want...)
		r.got(1, want...)
		r.settled(500, 0)
		r.even()
	})
}

func TestAFailureHoldsItsKeyAloneAmongRecordsThatWaitSideBySide(t *testing.T) {
	bubble(t, "and the key stays in order", func(t *testing.T) {
		var failed atomic.Int64
		r := newRig(t, 1, waiting(8, func(m *flow.Message, e *flow.Emitter) error {
			time.Sleep(time.Millisecond)
			if string(m.Payload()) == "k1:1" && failed.Add(1) <= 3 {
				return transient()
			}
			e.Emit(0, m)
			return nil
		}))
		r.run(numbered(12, 3)...)
		r.settled(12, 0)
		var key []string
		for i, b := range r.sinks[0].Bodies() {
			if b[:2] == "k1" {
				key = append(key, b)
			} else if len(key) > 0 {
				t.Errorf("%s came at %d, behind the key that was held", b, i)
			}
		}
		if fmt.Sprint(key) != "[k1:1 k1:4 k1:7 k1:10]" {
			t.Errorf("the held key came as %v", key)
		}
	})
}

func TestADeadLetterOfARecordThatWaitedIsALetter(t *testing.T) {
	bubble(t, "and keeps its place", func(t *testing.T) {
		r := newRig(t, 1, waiting(4, func(m *flow.Message, e *flow.Emitter) error {
			if string(m.Payload()) == "k0:2" {
				return permanent()
			}
			time.Sleep(time.Second)
			e.Emit(0, m)
			return nil
		}))
		r.program.Nodes[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 0}
		r.run(numbered(4, 2)...)
		r.got(0, numbered(4, 2)...)
		if b := r.p.Balance(); b.DeadLettered != 1 || b.Delivered != 3 {
			t.Errorf("%+v", b)
		}
	})
}

func TestABatchThatBecomesTooMuchStopsBetweenRecordsThatWait(t *testing.T) {
	bubble(t, "and goes on when what it had has left", func(t *testing.T) {
		r := newRig(t, 1, waiting(4, func(m *flow.Message, e *flow.Emitter) error {
			time.Sleep(time.Millisecond)
			for range 50 {
				e.Emit(0, m)
			}
			return nil
		}))
		r.engine.mostMade = 64 << 10
		r.run(numbered(100, 3)...)
		r.settled(100, 0)
		if n := len(r.sinks[0].Bodies()); n != 5000 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestAStopEndsRecordsThatWait(t *testing.T) {
	bubble(t, "at once", func(t *testing.T) {
		r := newRig(t, 1, waiting(4, func(_ *flow.Message, e *flow.Emitter) error {
			<-e.Context().Done()
			return e.Context().Err()
		}))
		r.start()
		r.feed(numbered(10, 3)...)
		synctest.Wait()
		_ = r.stop(time.Second)
		r.settled(0, 10)
	})
}
