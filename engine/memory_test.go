package engine

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// heap is what lives after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// many makes n messages of each.
func many(n int) pipelines.Node {
	return node(func(m *flow.Message, e *flow.Emitter) error {
		for i := range n {
			c := e.Copy(m)
			c.ExtendID(i)
			e.Emit(0, c)
		}
		return nil
	})
}

func TestARecordThatBecomesTooManyMessagesFails(t *testing.T) {
	for name, nodes := range map[string][]pipelines.Node{
		"at one node": {many(10_001)}, "at one node by far": {many(500_000)}, "at one behind another": {many(101), many(100)},
	} {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, 2, nodes...)
			for i := range r.program.Nodes {
				r.program.Nodes[i].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
			}
			r.run("a")
			if b := r.p.Balance(); b.DeadLettered != 1 {
				t.Errorf("balance %+v", b)
			}
			if got := headerOf(r, 1, 0, "millstream-error-code"); got != "too_large" {
				t.Errorf("code %q", got)
			}
			if n := len(r.sinks[0].Delivered()); n > flow.MaxMessages {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
}

func TestWhatWasSplitIsNotKept(t *testing.T) {
	bubble(t, "copies go when their batch has ended", func(t *testing.T) {
		r := newRig(t, 1, many(8000))
		r.sinks[0].Answer = func(*flow.Outgoing) error { return permanent() }
		r.program.Sinks[0].OnError = pipelines.Policy{Then: pipelines.ThenDrop}
		r.start()
		before := heap()
		for range 4 {
			r.feed("k:" + strings.Repeat("x", 100))
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if grown := heap() - before; grown > 4<<20 {
			t.Errorf("%d bytes are kept", grown)
		}
		_ = r.stop(time.Second)
	})
}

func TestABatchThatGrowsIsHandedOverInParts(t *testing.T) {
	bubble(t, "what it has become is bounded, and all of it arrives", func(t *testing.T) {
		r := newRig(t, 1, many(2000))
		r.program.Limits.InFlightBytes = 1 << 20
		var most, sent atomic.Int64
		r.sinks[0].Answer = func(*flow.Outgoing) error {
			if sent.Add(1)%5000 == 1 {
				return transient()
			}
			return nil
		}
		send := r.program.Sinks[0].Open
		r.program.Sinks[0].Open = func(ctx context.Context, h flow.Host) (flow.Sink, error) {
			s, err := send(ctx, h)
			return &counting{s, &most}, err
		}
		bodies := make([]string, 50)
		for i := range bodies {
			bodies[i] = string(rune('a'+i%5)) + ":x"
		}
		r.run(bodies...)
		r.settled(50, 0)
		if n := len(r.sinks[0].Delivered()); n < 100_000 {
			t.Errorf("%d messages arrived", n)
		}
		if n := most.Load(); n > 12_000 {
			t.Errorf("%d messages were handed over at once", n)
		}
	})
}

// counting notes the largest hand-over.
type counting struct {
	flow.Sink
	most *atomic.Int64
}

func (c *counting) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	for n, old := int64(len(outs)), c.most.Load(); n > old && !c.most.CompareAndSwap(old, n); old = c.most.Load() {
	}
	c.Sink.Send(ctx, outs, done)
}
