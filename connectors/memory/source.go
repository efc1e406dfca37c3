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
	defer s.topic.unsubscribe(me)
	for {
		select {
		case p := <-me.parts:
			if err := s.push(ctx, in, p); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// share is what one batch carries of a part.
type share struct {
	part  *part
	first int // of the part's records
}

// push makes batches of a part; what is not pushed comes back to the sink.
func (s *source) push(ctx context.Context, in flow.Intake, p *part) error {
	for at := 0; at < len(p.records); {
		end := s.batchEnd(p.records, at)
		b := &flow.Batch{
			Lane: s.lane, Records: slices.Clone(p.records[at:end]), Arrived: time.Now().UnixNano(),
			Memory: share{part: p, first: at},
		}
		if err := in.Push(ctx, b); err != nil {
			p.refuse(at)
			return err
		}
		at = end
	}
	return nil
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
