package http

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	nethttp "net/http"
	"strconv"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// settings are what a source was configured with.
type settings struct {
	listen, path  string
	methods       []string
	checks        []check
	secretHeader  string
	timeout, read time.Duration
	tls           files
	pending       *pending
}

// owner is whose a path is.
type owner struct{ pipeline, name string }

// source is an opened source.
type source struct {
	*settings
	owner   owner
	limits  flow.Limits
	server  *server
	release func() error
	phase   phase // of the server, under its lock
	memory  memory
	epoch   string // makes ids that no other run has

	mu      sync.Mutex
	queue   []*request
	ended   bool // nothing is queued any more
	under   int  // batches that are not settled
	number  int64
	lanes   []*flow.Lane // not in use
	wake    chan struct{}
	settled chan struct{}
	closed  sync.Once
}

func openSource(s *settings, host flow.Host) (flow.Source, error) {
	for _, k := range s.checks {
		if !k.ready() {
			return nil, flow.Errorf(flow.ConfigError, flow.CodeAuth, "a secret is empty: everybody could send")
		}
	}
	limits := host.Limits()
	c := &source{
		settings: s, owner: owner{host.Pipeline(), host.Name()}, limits: limits, epoch: newEpoch(),
		memory: memory{most: max(2*limits.InFlightBytes, 4*limits.MaxMessage)},
		wake:   make(chan struct{}, 1), settled: make(chan struct{}, 1),
	}
	var err error
	if c.server, c.release, err = shareServer(s, host); err != nil {
		return nil, err
	}
	if err := c.server.join(c); err != nil {
		return nil, errors.Join(err, c.release())
	}
	return c, nil
}

func newEpoch() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// The gathering: when enough batches are under way to keep sinks busy, further requests wait until one of them comes back, so that they
// travel together and share what a sink does once per batch; but no longer than gatherMost, since the batches may be slow ones.
const (
	gatherFrom = 2
	gatherMost = 4 * time.Millisecond
)

// Run implements flow.Source.
func (c *source) Run(ctx context.Context, in flow.Intake) error {
	c.server.moved(c, reading)
	defer c.end()
	patience := time.NewTimer(gatherMost)
	defer patience.Stop()
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
		for c.gather(ctx, patience) {
			b := c.take()
			if b == nil {
				break
			}
			if err := in.Push(ctx, b); err != nil {
				c.refuse(b)
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
	}
}

// gather waits until it is worth to make a batch; false when the reading ends.
func (c *source) gather(ctx context.Context, patience *time.Timer) bool {
	patience.Reset(gatherMost)
	for {
		c.mu.Lock()
		enough := c.under < gatherFrom || len(c.queue) >= c.limits.BatchRecords()
		c.mu.Unlock()
		if enough {
			return ctx.Err() == nil
		}
		select {
		case <-c.settled:
		case <-patience.C:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		}
	}
}

// enqueue takes a request that was read; false when the source has ended.
func (c *source) enqueue(q *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.queue = append(c.queue, q)
	if len(c.queue) == 1 {
		signal(c.wake)
	}
	return true
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// take makes a batch of what has piled up; nil when nothing has. Each batch has a lane of its own: requests that come at the same time
// have no order, and none must wait for another.
func (c *source) take() *flow.Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	records := make([]flow.Record, 0, min(len(c.queue), c.limits.BatchRecords()))
	n, bytes := 0, int64(0)
	for n < len(c.queue) && len(records) < c.limits.BatchRecords() {
		q := c.queue[n]
		if size := int64(len(q.record.Body)); len(records) > 0 && bytes+size > c.limits.BatchBytes() {
			break
		} else if bytes += size; q.state.CompareAndSwap(waiting, taken) {
			c.number++
			q.record.Offset, q.record.ID = c.number, c.epoch+"-"+strconv.FormatInt(c.number, 10)
			records = append(records, q.record)
		}
		n++
	}
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	if len(records) == 0 {
		return nil
	}
	c.under++
	return &flow.Batch{Lane: c.lane(), Records: records, Arrived: time.Now().UnixNano()}
}

func (c *source) lane() *flow.Lane {
	if n := len(c.lanes); n > 0 {
		l := c.lanes[n-1]
		c.lanes = c.lanes[:n-1]
		return l
	}
	l := flow.NewLane(c.path)
	l.Unordered = true
	return l
}

// refuse gives back what a batch that was not taken is made of.
func (c *source) refuse(b *flow.Batch) {
	c.back(b)
	for i := range b.Records {
		if q := c.pending.of(&b.Records[i]); q != nil {
			c.forget(q)
			q.answer <- answer{again: true}
		}
	}
}

// Settle implements flow.Source: it answers.
func (c *source) Settle(b *flow.Batch) {
	c.back(b)
	for i := range b.Records {
		r := &b.Records[i]
		if q := c.pending.of(r); q != nil {
			c.forget(q)
			q.answer <- answerFor(r)
		}
	}
}

// back notes that a batch is not under way any more.
func (c *source) back(b *flow.Batch) {
	c.mu.Lock()
	c.under--
	c.lanes = append(c.lanes, b.Lane)
	c.mu.Unlock()
	signal(c.settled)
}

// answerFor says what has become of a record. What its sender cannot mend is not told in detail.
func answerFor(r *flow.Record) answer {
	if r.Settled() {
		return answer{status: nethttp.StatusOK}
	}
	if e := r.Refused(); e != nil && e.Class != flow.Transient {
		return answer{status: nethttp.StatusUnprocessableEntity, code: e.Code, message: e.Message}
	}
	return answer{status: nethttp.StatusServiceUnavailable, code: flow.CodeUnavailable, message: "not settled; come again"}
}

// end hands what was not looked at to who reads next.
func (c *source) end() {
	c.server.moved(c, closing)
	c.mu.Lock()
	left := c.queue
	c.queue, c.ended = nil, true
	c.mu.Unlock()
	for _, q := range left {
		if q.state.CompareAndSwap(waiting, taken) {
			c.forget(q)
			q.answer <- answer{again: true}
		}
	}
}

// Close implements flow.Source.
func (c *source) Close(context.Context) (err error) {
	c.closed.Do(func() {
		c.end()
		c.server.leave(c)
		err = c.release()
	})
	return err
}
