package enginetest

import (
	"context"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// Source pushes the batches it is given, in order, and remembers what came back. It is made with NewSource and may be fed before and
// while it runs.
type Source struct {
	mu      sync.Mutex
	waiting []*flow.Batch
	ended   bool
	failure error
	wake    chan struct{}
	settled []flow.Record
	left    []flow.Record
	opened  int
	closed  int
}

// NewSource makes a source without batches.
func NewSource() *Source { return &Source{wake: make(chan struct{}, 1)} }

// Feed adds a batch of records of one lane.
func (s *Source) Feed(lane *flow.Lane, records ...flow.Record) {
	s.mu.Lock()
	s.waiting = append(s.waiting, &flow.Batch{Lane: lane, Records: records, Arrived: time.Now().UnixNano()})
	s.mu.Unlock()
	s.signal()
}

// End makes Run return once all batches are pushed; with an error, Run returns that.
func (s *Source) End(err error) {
	s.mu.Lock()
	s.ended, s.failure = true, err
	s.mu.Unlock()
	s.signal()
}

func (s *Source) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Settled are the records that came back settled, in the order they came.
func (s *Source) Settled() []flow.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]flow.Record(nil), s.settled...)
}

// Left are the records that came back unsettled.
func (s *Source) Left() []flow.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]flow.Record(nil), s.left...)
}

// Open can be the Open of a pipelines.Source.
func (s *Source) Open(context.Context, flow.Host) (flow.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return s, nil
}

// Opened and Closed count the calls of Open and Close.
func (s *Source) Opened() int { s.mu.Lock(); defer s.mu.Unlock(); return s.opened }

// Closed counts the calls of Close.
func (s *Source) Closed() int { s.mu.Lock(); defer s.mu.Unlock(); return s.closed }

// Run implements flow.Source.
func (s *Source) Run(ctx context.Context, in flow.Intake) error {
	for ctx.Err() == nil {
		b, ended, failure := s.next()
		switch {
		case b != nil:
			if err := in.Push(ctx, b); err != nil {
				return nil //nolint:nilerr // the batch was not taken: the pipeline stops reading
			}
		case ended:
			return failure
		default:
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
		}
	}
	return nil
}

func (s *Source) next() (b *flow.Batch, ended bool, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) > 0 {
		b, s.waiting = s.waiting[0], s.waiting[1:]
	}
	return b, s.ended, s.failure
}

// Settle implements flow.Source.
func (s *Source) Settle(b *flow.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range b.Records {
		if r.Settled() {
			s.settled = append(s.settled, r)
		} else {
			s.left = append(s.left, r)
		}
	}
}

// Close implements flow.Source.
func (s *Source) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}
