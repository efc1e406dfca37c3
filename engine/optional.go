package engine

import (
	"context"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// optionalQueueSize bounds what waits for an optional sink, in messages; its bytes are bounded by the pipeline's in_flight_bytes.
const optionalQueueSize = 1024

// optionalSink feeds a sink that nobody waits for: what does not fit into its queue, or what the sink refuses, is dropped and counted.
type optionalSink struct {
	p       *pipeline
	sink    *sinkRun
	opening *opening

	mu     sync.Mutex
	queue  []*flow.Outgoing
	bytes  int64 // queued, and those that are being sent
	most   int64 // bytes that may wait
	wake   chan struct{}
	closed bool
	ended  chan struct{}

	untold int64 // drops that the log has not told of
	told   time.Time
}

// tellEvery is how often the log tells of drops at most.
const tellEvery = time.Second

func newOptionalSink(sink *sinkRun) *optionalSink {
	return &optionalSink{
		p: sink.p, sink: sink, opening: newOpening(sink), wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// start begins to open the sink, and feeds it once it is open and after is closed, where that is not nil: what the sink before it has
// queued goes first.
func (o *optionalSink) start(prog *pipelines.Program, spec *pipelines.Sink, after <-chan struct{}) {
	o.sink.setMost(prog.Limits.InFlightBytes)
	o.opening.begin(prog, spec)
	go func() {
		defer close(o.ended)
		if !o.opening.wait() {
			return
		}
		if after != nil {
			select {
			case <-after:
			case <-o.sink.hard.Done():
			}
		}
		o.work()
	}()
}

// setMost bounds what may wait from now on.
func (s *sinkRun) setMost(bytes int64) {
	if o := s.optional; o != nil {
		o.mu.Lock()
		o.most = bytes
		o.mu.Unlock()
	}
}

// offer copies outs into the queue as far as they fit, and says of each whether it did.
func (o *optionalSink) offer(outs []*flow.Outgoing, result func(out *flow.Outgoing, taken bool)) {
	dropped := int64(0)
	o.mu.Lock()
	for _, out := range outs {
		size := sizeOf(out)
		if len(o.queue) >= optionalQueueSize || o.bytes > 0 && o.bytes+size > o.most {
			dropped++
			result(out, false)
			continue
		}
		c := *out
		c.Own()
		o.queue = append(o.queue, &c)
		o.bytes += size
		result(out, true)
	}
	o.mu.Unlock()
	o.dropped(dropped)
	o.signal()
}

// dropped counts messages that the sink did not get, and tells the log, at most once per tellEvery.
func (o *optionalSink) dropped(n int64) {
	if n == 0 {
		return
	}
	o.p.count.optionalDropped.Add(n)
	o.sink.count.dropped.Add(n)
	o.mu.Lock()
	o.untold += n
	tell := time.Since(o.told) >= tellEvery
	o.mu.Unlock()
	if tell {
		o.tell()
	}
}

func (o *optionalSink) tell() {
	o.mu.Lock()
	n := o.untold
	o.untold, o.told = 0, time.Now()
	o.mu.Unlock()
	if n > 0 {
		o.p.log.Warn("an optional sink could not take messages; they are dropped", "node", o.sink.name, "dropped", n)
	}
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
	o.sink.sendAndWait(o.sink.hard, outs)
	failed, bytes := countErrors(outs), int64(0)
	for _, out := range outs {
		bytes += sizeOf(out)
	}
	o.mu.Lock()
	o.bytes -= bytes
	o.mu.Unlock()
	o.dropped(int64(failed))
	o.sink.count.delivered.Add(int64(len(outs) - failed))
}

// close sends what is queued and ends, and reports whether the sink is open. When ctx is done first, or the sink was never open, the rest
// is given up.
func (o *optionalSink) close(ctx context.Context) (open bool) {
	defer o.tell()
	o.mu.Lock()
	o.closed = true
	queued := len(o.queue) > 0
	o.mu.Unlock()
	open = o.opening.close(ctx, queued)
	o.signal()
	select {
	case <-o.ended:
	case <-ctx.Done():
		o.sink.hardStop()
		<-o.ended
	}
	left, _ := o.take()
	o.dropped(int64(len(left)))
	return open
}
