package http

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	nethttp "net/http"
	"runtime"
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
	most          int // requests that are not settled
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
	answers answers

	unsettled []*request // with those in the queue, in no order
	sweeper   *time.Timer
	sweeping  bool // the sweeper is set
	wake      chan struct{}
	settled   chan struct{}
	closed    sync.Once
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
	c.sweeper = time.AfterFunc(time.Hour, c.sweep)
	c.sweeper.Stop() // until there is a request
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
		for {
			runtime.Gosched() // who is about to queue a request does so before the batch is made
			if !c.gather(ctx, patience) {
				break
			}
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

// enqueue takes a request that was read. The answer's status is 0 when it was taken and its answer will follow; else it has been let go.
func (c *source) enqueue(q *request) answer {
	if !c.memory.take(q.charge) {
		return busy
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !c.open(q) {
		c.memory.give(q.charge)
		if c.ended {
			return answer{again: true}
		}
		return busy
	}
	c.queue = append(c.queue, q)
	if len(c.queue) == 1 {
		signal(c.wake)
	}
	return answer{}
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
	n, bytes := 0, int64(0)
	for most := min(len(c.queue), c.limits.BatchRecords()); n < most; n++ {
		size := int64(len(c.queue[n].record.Body))
		if n > 0 && bytes+size > c.limits.BatchBytes() {
			break
		}
		bytes += size
	}
	if n == 0 {
		return nil
	}
	records, requests := make([]flow.Record, n), make([]*request, n)
	copy(requests, c.queue)
	for i, q := range requests {
		c.number++
		q.state, q.record.Offset, q.record.ID = taken, c.number, c.epoch+"-"+strconv.FormatInt(c.number, 10)
		records[i] = q.record
	}
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	c.under++
	return &flow.Batch{Lane: c.lane(), Records: records, Arrived: time.Now().UnixNano(), Memory: requests}
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
	for _, q := range c.back(b) {
		if q != nil {
			q.answer <- answer{again: true}
		}
	}
}

// Settle implements flow.Source: it answers.
func (c *source) Settle(b *flow.Batch) {
	for i, q := range c.back(b) {
		if q != nil {
			r := &b.Records[i]
			q.answer <- answerFor(r.Settled(), r.Refused())
		}
	}
}

// Ended implements flow.Eager: who waits need not wait for its neighbours. The request keeps its place and memory until the batch comes
// back.
func (c *source) Ended(b *flow.Batch, index int, refused *flow.Error) {
	requests, _ := b.Memory.([]*request)
	q := requests[index]
	c.mu.Lock()
	waits := q.state == taken
	q.state = givenUp
	c.mu.Unlock()
	if waits {
		q.answer <- answerFor(refused == nil, refused)
	}
}

// back takes a batch back and gives the requests, record by record, that wait for an answer; nil where nobody waits any more.
func (c *source) back(b *flow.Batch) []*request {
	requests, _ := b.Memory.([]*request) // take has put them there
	c.mu.Lock()
	c.under--
	c.lanes = append(c.lanes, b.Lane)
	for i, q := range requests {
		c.forget(q)
		if q.state == givenUp {
			requests[i] = nil
		}
	}
	c.mu.Unlock()
	signal(c.settled)
	return requests
}

// answerFor says what has become of a record. What its sender cannot mend is not told in detail.
func answerFor(settled bool, refused *flow.Error) answer {
	if settled {
		return answer{status: nethttp.StatusOK}
	}
	if e := refused; e != nil && e.Class != flow.Transient {
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
	for _, q := range left {
		c.forget(q)
		q.state = taken
	}
	c.mu.Unlock()
	for _, q := range left {
		q.answer <- answer{again: true}
	}
}

// Close implements flow.Source.
func (c *source) Close(context.Context) (err error) {
	c.closed.Do(func() {
		c.end()
		c.server.leave(c)
		c.sweeper.Stop()
		err = c.release()
	})
	return err
}
