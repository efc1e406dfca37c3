package engine

import (
	"context"
	"sync"

	"github.com/millstream/millstream/flow"
)

// optionalQueueSize bounds what waits for an optional sink, in messages; its bytes are bounded by the pipeline's in_flight_bytes.
const optionalQueueSize = 1024

// optionalSink feeds a sink that nobody waits for: what does not fit into its queue, or what the sink refuses, is dropped and counted.
type optionalSink struct {
	p    *pipeline
	sink int

	mu     sync.Mutex
	queue  []*flow.Outgoing
	bytes  int64 // queued, and those that are being sent
	wake   chan struct{}
	closed bool
	ended  chan struct{}
}

func newOptionalSink(p *pipeline, sink int) *optionalSink {
	o := &optionalSink{p: p, sink: sink, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go o.work()
	return o
}

// offer copies outs into the queue as far as they fit.
func (o *optionalSink) offer(outs []*flow.Outgoing) {
	dropped := int64(0)
	o.mu.Lock()
	for _, out := range outs {
		size := sizeOf(out)
		if len(o.queue) >= optionalQueueSize || o.bytes > 0 && o.bytes+size > o.p.prog.Limits.InFlightBytes {
			dropped++
			continue
		}
		c := *out
		c.Own()
		o.queue = append(o.queue, &c)
		o.bytes += size
	}
	o.mu.Unlock()
	o.p.count.optionalDropped.Add(dropped)
	o.signal()
}

func sizeOf(o *flow.Outgoing) int64 { return int64(len(o.Body)+len(o.Key)+len(o.Record.Body)) + 64 }

func (o *optionalSink) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *optionalSink) take() (outs []*flow.Outgoing, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	outs, o.queue = o.queue, nil
	return outs, o.closed
}

func (o *optionalSink) work() {
	defer close(o.ended)
	for {
		outs, closed := o.take()
		if len(outs) > 0 {
			o.send(outs)
			continue
		}
		if closed {
			return
		}
		<-o.wake
	}
}

func (o *optionalSink) send(outs []*flow.Outgoing) {
	o.p.sendAndWait(o.sink, outs)
	failed, bytes := countErrors(outs), int64(0)
	for _, out := range outs {
		bytes += sizeOf(out)
	}
	o.mu.Lock()
	o.bytes -= bytes
	o.mu.Unlock()
	o.p.count.optionalDropped.Add(int64(failed))
	o.p.count.sinks[o.sink].delivered.Add(int64(len(outs) - failed))
}

// close sends what is queued and ends. When ctx is done first, the rest is given up.
func (o *optionalSink) close(ctx context.Context) {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.signal()
	select {
	case <-o.ended:
	case <-ctx.Done():
		o.p.hardStop()
		<-o.ended
	}
}
