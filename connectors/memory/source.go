package memory

import (
	"context"
	"slices"
	"time"

	"github.com/millstream/millstream/flow"
)

type source struct {
	topic  *topic
	lane   *flow.Lane
	limits flow.Limits
}

// Run implements flow.Source.
func (s *source) Run(ctx context.Context, in flow.Intake) error {
	me := s.topic.subscribe()
	left := me.first
	defer func() { s.topic.unsubscribe(me, left) }()
	for {
		for len(left) > 0 {
			pushed, err := s.push(ctx, in, left[0])
			if err != nil {
				left[0].first = pushed
				return s.ended(ctx, &left, err)
			}
			left = left[1:]
		}
		select {
		case p := <-me.parts:
			left = []share{{part: p}}
		case <-ctx.Done():
			return nil
		}
	}
}

// ended says how Run ends after a push that was refused: a stop is no failure. What a pipeline refuses for other reasons goes back to who
// sent it.
func (s *source) ended(ctx context.Context, left *[]share, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
	}
	for _, of := range *left {
		of.part.refuse(of.first)
	}
	*left = nil
	return err
}

// share is a part from one record on: what a batch carries of it, or what is still to be pushed.
type share struct {
	part  *part
	first int // of the part's records
}

// push makes batches of what is left of a part. It returns the first record that was not pushed.
func (s *source) push(ctx context.Context, in flow.Intake, of share) (at int, err error) {
	p := of.part
	if p.whole.over() {
		return len(p.records), nil // nobody waits for it any more: it is sent again, or stays where it came from
	}
	for at = of.first; at < len(p.records); {
		end := s.batchEnd(p.records, at)
		b := &flow.Batch{
			Lane: s.lane, Records: slices.Clone(p.records[at:end]), Arrived: time.Now().UnixNano(),
			Memory: share{part: p, first: at},
		}
		if err := in.Push(ctx, b); err != nil {
			return at, err
		}
		at = end
	}
	return at, nil
}

func (s *source) batchEnd(records []flow.Record, at int) int {
	end, room := at, s.limits.BatchBytes()
	for end < len(records) && end-at < s.limits.BatchRecords() && (end == at || room > 0) {
		room -= int64(len(records[end].Body))
		end++
	}
	return end
}

// Settle implements flow.Source.
func (s *source) Settle(b *flow.Batch) {
	if of, ok := b.Memory.(share); ok {
		of.part.settle(of.first, b.Records)
	}
}

// Close implements flow.Source.
func (s *source) Close(context.Context) error { return nil }
