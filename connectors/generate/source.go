package generate

import (
	"context"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// source pushes what a generator makes. What comes back unsettled is not made again: there is nowhere to keep it.
type source struct {
	generator
	lane    *flow.Lane
	limits  flow.Limits
	batches sync.Pool // of *flow.Batch whose Memory is *[]byte, the payloads
	next    time.Time // when the next message is due
}

func newSource(g generator, limits flow.Limits) *source {
	return &source{generator: g, lane: flow.NewLane(g.topic), limits: limits}
}

// Run implements flow.Source.
func (s *source) Run(ctx context.Context, in flow.Intake) error {
	s.next = time.Now()
	for s.left != 0 {
		most, ok := s.due(ctx)
		if !ok {
			return nil
		}
		b := s.batch(most)
		if err := in.Push(ctx, b); err != nil {
			s.Settle(b)
			if ctx.Err() != nil {
				return nil //nolint:nilerr // a source that is told to stop has not failed
			}
			return err
		}
	}
	return nil
}

// due waits until a message is due and tells how many are by now. What a slow pipeline did not take in time is made up for within a
// second's worth.
func (s *source) due(ctx context.Context) (int64, bool) {
	most := int64(s.limits.BatchRecords())
	if s.left > 0 {
		most = min(most, s.left)
	}
	if s.interval == 0 {
		return most, ctx.Err() == nil
	}
	now := time.Now()
	if wait := s.next.Sub(now); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, false
		}
		now = time.Now()
	}
	if oldest := now.Add(-time.Second); s.interval < time.Second && s.next.Before(oldest) {
		s.next = oldest
	}
	n := max(1, min(most, int64(now.Sub(s.next)/s.interval)+1))
	s.next = s.next.Add(time.Duration(n) * s.interval)
	return n, ctx.Err() == nil
}

// batch makes up to most messages.
func (s *source) batch(most int64) *flow.Batch {
	b, memory := s.take(most)
	room := s.limits.BatchBytes()
	buf := (*memory)[:0]
	for i := int64(0); i < most && int64(len(buf)) < room; i++ {
		start := len(buf)
		grown, err := s.append(buf)
		if err != nil {
			grown = buf
		}
		if cap(grown) != cap(buf) && start > 0 {
			s.rebase(b, grown)
		}
		buf = grown
		s.add(b, buf[start:len(buf):len(buf)], err)
	}
	*memory = buf
	b.Lane, b.Arrived = s.lane, time.Now().UnixNano()
	return b
}

// rebase points the records at the buffer's new place. Their old memory would do as well, but it would stay alive beside the new one.
func (s *source) rebase(b *flow.Batch, buf []byte) {
	at := 0
	for i := range b.Records {
		r := &b.Records[i]
		n := len(r.Body)
		r.Body = buf[at : at+n : at+n]
		at += n
	}
}

func (s *source) add(b *flow.Batch, body []byte, err error) {
	r := flow.Record{Body: body, Topic: s.topic, Offset: s.n, Partition: flow.NoPartition, Attempt: 1}
	if err != nil {
		r.Failure = flow.AsError(err, flow.Permanent, flow.CodeExpression)
	}
	b.Records = append(b.Records, r)
	s.n++
	if s.left > 0 {
		s.left--
	}
}

// take gives an empty batch. One for a few messages is small: there may be hundreds of slow sources.
func (s *source) take(most int64) (*flow.Batch, *[]byte) {
	if b, ok := s.batches.Get().(*flow.Batch); ok {
		if memory, ok := b.Memory.(*[]byte); ok {
			b.Records = b.Records[:0]
			return b, memory
		}
	}
	memory := new([]byte)
	return &flow.Batch{Records: make([]flow.Record, 0, most), Memory: memory}, memory
}

// Settle implements flow.Source.
func (s *source) Settle(b *flow.Batch) { s.batches.Put(b) }

// Close implements flow.Source.
func (s *source) Close(context.Context) error { return nil }
