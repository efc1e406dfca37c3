package http

import (
	"context"
	"errors"
	"hash/maphash"
	nethttp "net/http"
	"sync"
	"sync/atomic"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/httpclient"
)

// drained is how much of an answer is read, so that its connection can be used again.
const drained = 256 << 10

// sink sends requests with a number of workers. Messages whose order must be kept go to one worker, which sends them one after another.
type sink struct {
	client  *httpclient.Client
	order   string
	seed    maphash.Seed
	next    atomic.Uint64
	workers []chan job
	running sync.WaitGroup
	closed  sync.Once
}

// job is a message on its way to a worker.
type job struct {
	out  *flow.Outgoing
	call *call
}

// waitingJobs is how many messages wait for one worker; a Send with more blocks.
const waitingJobs = 64

func openSink(client *httpclient.Client, workers int, order string) *sink {
	s := &sink{client: client, order: order, seed: maphash.MakeSeed(), workers: make([]chan job, workers)}
	for i := range s.workers {
		s.workers[i] = make(chan job, waitingJobs)
		s.running.Go(func() {
			for j := range s.workers[i] {
				s.work(j)
			}
		})
	}
	return s
}

// call is one Send.
type call struct {
	ctx  context.Context
	left atomic.Int64
	done func()

	mu     sync.Mutex
	failed map[string]error // by what is kept in order: the first transient failure, which the rest follow
}

func (c *call) finish(n int64) {
	if c.left.Add(-n) == 0 {
		c.done()
	}
}

// Send implements flow.Sink.
func (s *sink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	c := &call{ctx: ctx, done: done}
	c.left.Store(int64(len(outs)) + 1)
	defer c.finish(1)
	for _, o := range outs {
		select {
		case s.workers[s.worker(o)] <- job{o, c}:
		case <-ctx.Done():
			o.Err = stopped(ctx)
			c.finish(1)
		}
	}
}

// worker is who sends a message: always the same one for messages whose order the file keeps. Those with a key of their source keep it
// among each other, and those without in their lane.
func (s *sink) worker(o *flow.Outgoing) int {
	n := uint64(len(s.workers))
	switch {
	case s.unordered(o):
		return int(s.next.Add(1) % n)
	case s.order != "source" && o.Record.Key != nil:
		return int(maphash.Bytes(s.seed, o.Record.Key) % n)
	}
	return int(maphash.Comparable(s.seed, o.Lane()) % n)
}

// unordered tells that the message may go before or after any other: the file says so, or its source does and the file says nothing.
func (s *sink) unordered(o *flow.Outgoing) bool {
	l := o.Lane()
	return s.order == "none" || s.order == "" && l != nil && l.Unordered
}

// work sends one message, unless one before it that it must not overtake has failed in the same Send.
func (s *sink) work(j job) {
	defer j.call.finish(1)
	if s.unordered(j.out) {
		j.out.Err = s.request(j.call.ctx, j.out)
		return
	}
	ordered := j.ordered(s.order)
	if j.out.Err = j.call.before(ordered); j.out.Err != nil {
		return
	}
	if j.out.Err = s.request(j.call.ctx, j.out); j.out.Err != nil {
		j.call.fail(ordered, j.out.Err)
	}
}

func (j job) ordered(order string) string {
	if order != "source" && j.out.Record.Key != nil {
		return "k" + string(j.out.Record.Key)
	}
	return ""
}

func (c *call) before(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed[key]
}

// fail notes a failure that may pass; what waits behind it would arrive before it.
func (c *call) fail(key string, err error) {
	var e *flow.Error
	if errors.As(err, &e) && e.Class != flow.Transient {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = map[string]error{}
	}
	c.failed[key] = err
}

// request sends one message.
func (s *sink) request(ctx context.Context, o *flow.Outgoing) error {
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	r, ok := o.Native.(*prepared)
	if !ok {
		r = &prepared{method: nethttp.MethodPost}
	}
	answer, err := s.client.Do(ctx, &httpclient.Request{Method: r.method, URL: o.Dest, Header: r.header, Body: o.Body})
	if err != nil {
		return err
	}
	if e := httpclient.StatusError(answer); e != nil {
		return e
	}
	return nil
}

func stopped(ctx context.Context) error {
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "not sent: %w", context.Cause(ctx))
}

// Close implements flow.Sink.
func (s *sink) Close(context.Context) error {
	s.closed.Do(func() {
		for _, w := range s.workers {
			close(w)
		}
		s.running.Wait()
		s.client.Close()
	})
	return nil
}
