package lines

import (
	"bytes"
	"sync"

	"github.com/millstream/millstream/flow"
)

// Batcher cuts segments into batches of records. Cut is called, and the fields are set, by one goroutine; Settle by any.
type Batcher struct {
	Lane *flow.Lane
	// Topic is what the records show as their topic. It may change from one Cut to the next.
	Topic string
	// Generation tells the streams of one topic apart; records show it as their partition. 0 is none.
	Generation int32
	// Limits bound the batches and the lines.
	Limits flow.Limits
	// Heading is that of the stream whose segments come; nil is none.
	Heading *Heading

	batches sync.Pool
}

// Cut makes the next batch of the lines in s and takes them out of it; s.Offset is then where the line behind them begins. The batch
// holds the segment's memory until Settle. A header line is no record. When s has no line left that is not empty, it returns nil. arrived is when the bytes were read, in nanoseconds since 1970.
func (b *Batcher) Cut(s *Segment, arrived int64) *flow.Batch {
	most, room := b.Limits.BatchRecords(), b.Limits.BatchBytes()
	batch := b.take()
	for len(s.Data) > 0 && len(batch.Records) < most && (room > 0 || len(batch.Records) == 0) {
		line, taken := nextLine(s)
		switch {
		case len(line) == 0:
		case b.Heading != nil && !b.Heading.Known():
			b.Heading.Meet(line, b.excess(line, s))
		default:
			b.add(batch, line, s)
			room -= int64(len(line))
		}
		s.Data = s.Data[taken:]
		s.at += taken
		s.Offset += int64(taken)
		if len(s.Data) == 0 {
			s.Offset += s.Passed
		}
	}
	if len(batch.Records) == 0 {
		b.batches.Put(batch)
		return nil
	}
	s.chunk.Hold()
	batch.Lane, batch.Arrived, batch.Memory = b.Lane, arrived, s.chunk
	if b.Heading != nil {
		batch.Coder = b.Heading.coder
	}
	return batch
}

// nextLine is the first line of a segment without its end, and how many bytes it takes with its end.
func nextLine(s *Segment) (line []byte, taken int) {
	end := -1
	if s.TooLong == 0 {
		end = bytes.IndexByte(s.Data, '\n')
	}
	if end < 0 {
		line, taken = s.Data, len(s.Data)
	} else {
		line, taken = s.Data[:end], end+1
	}
	if n := len(line); s.TooLong == 0 && n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line[:len(line):len(line)], taken
}

func (b *Batcher) add(batch *flow.Batch, line []byte, s *Segment) {
	n := len(batch.Records)
	if n < cap(batch.Records) {
		batch.Records = batch.Records[:n+1]
	} else {
		batch.Records = append(batch.Records, flow.Record{})
	}
	partition := b.Generation
	if partition == 0 {
		partition = flow.NoPartition
	}
	r := &batch.Records[n]
	if r.Attempt == 0 || r.Failure != nil || r.Partition != partition || r.Topic != b.Topic {
		*r = flow.Record{Topic: b.Topic, Partition: partition, Attempt: 1}
	}
	// Of a record that is used again the rest is as it must be: what is not written does not go from one core's cache to another's.
	r.Body, r.Offset = line, s.Offset
	r.Finish(flow.Open)
	if size := b.excess(line, s); size > 0 {
		r.Body = line[:min(len(line), headBytes):min(len(line), headBytes)]
		r.Failure = flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the line has %d bytes, max_message is %d", size, b.Limits.MaxMessage)
	}
}

// excess is the length of a line that is over the limit; 0 of any other.
func (b *Batcher) excess(line []byte, s *Segment) int64 {
	if size := max(s.TooLong, int64(len(line))); size > b.Limits.MaxMessage {
		return size
	}
	return 0
}

func (b *Batcher) take() *flow.Batch {
	if batch, ok := b.batches.Get().(*flow.Batch); ok {
		batch.Records, batch.Coder = batch.Records[:0], nil
		return batch
	}
	return &flow.Batch{Records: make([]flow.Record, 0, b.Limits.BatchRecords())}
}

// Settle takes a batch of Cut back and releases its memory. A stream cannot be read twice: what is not settled is gone with it.
func (b *Batcher) Settle(batch *flow.Batch) {
	if c, ok := batch.Memory.(*Chunk); ok {
		batch.Memory = nil
		c.Release()
	}
	b.batches.Put(batch)
}

// CheckPayload tells why a payload cannot be a line; sink is the word for who wants one.
func CheckPayload(payload []byte, sink string) error {
	if payload == nil {
		return flow.Errorf(flow.Permanent, flow.CodeEncode, "the message has no payload, and %s writes one line per message", sink)
	}
	if at := bytes.IndexByte(payload, '\n'); at >= 0 {
		return flow.Errorf(flow.Permanent, flow.CodeEncode, "the payload has a newline at byte %d, and %s writes one line per message; encode: json writes JSON on one line", at, sink)
	}
	return nil
}
