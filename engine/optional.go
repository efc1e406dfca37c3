package engine

import (
	"context"
	"sync"

	"github.com/millstream/millstream/flow"
)

// optionalQueueSize bounds what waits for an optional sink, in messages.
const optionalQueueSize = 1024

// optionalSink feeds a sink that nobody waits for: what does not fit into its queue, or what the sink refuses, is dropped and counted.
type optionalSink struct {
	p    *pipeline
	sink int

	mu     sync.Mutex
	queue  []*flow.Outgoing
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
	o.mu.Lock()
	fit := min(len(outs), optionalQueueSize-len(o.queue))
	for _, out := range outs[:fit] {
		c := *out
		c.Own()
		o.queue = append(o.queue, &c)
	}
	o.mu.Unlock()
	o.p.count.optionalDropped.Add(int64(len(outs) - fit))
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
			o.p.sendAndWait(o.sink, outs)
			failed := countErrors(outs)
			o.p.count.optionalDropped.Add(int64(failed))
			o.p.count.sinks[o.sink].delivered.Add(int64(len(outs) - failed))
			continue
		}
		if closed {
			return
		}
		<-o.wake
	}
}

// close sends what is queued and ends, or gives up when ctx is done.
func (o *optionalSink) close(ctx context.Context) {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
	select {
	case <-o.ended:
	case <-ctx.Done():
	}
}
