package stdio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
)

// Source is the configuration of stdin. It has no options. Empty lines are skipped, lines may end in CRLF, and the last line may lack
// its end. With decode: csv the first line is the header, unless header says otherwise. The offset of a record is where its line starts in the stream, in bytes.
type Source struct {
	input *input
}

// BuildSource implements config.SourceConfig.
func (c *Source) BuildSource(b *config.Builder) config.Source {
	under := b.Under
	return config.Source{
		Traits: flow.Traits{Finite: true, Stream: true, Exclusive: "stdin"}, Lines: true,
		Open: func(_ context.Context, host flow.Host) (flow.Source, error) { return c.open(host, under) },
	}
}

func (c *Source) open(host flow.Host, under func([]byte) document.Coder) (flow.Source, error) {
	if err := c.input.claim(host.Pipeline()); err != nil {
		return nil, err
	}
	limits := host.Limits()
	c.input.limit.Store(limits.MaxMessage)
	s := &source{
		input:   c.input,
		batcher: lines.Batcher{Lane: flow.NewLane("stdin"), Topic: "stdin", Limits: limits},
	}
	if under != nil {
		s.batcher.Heading = c.input.heading(under)
	}
	return s, nil
}

// ahead is how many reads may wait until a batch is made of them.
const ahead = 2

// input is the stream behind all stdin sources of a registry. A read of it cannot be interrupted, so a goroutine of its own does the
// reading, from the first Run until the stream ends; when a source stops, what is read already waits for the next one. A process
// that ends earlier leaves that goroutine in its read, which harms nobody.
type input struct {
	reader *lines.Reader
	pool   lines.Pool
	limit  atomic.Int64 // max_message of the source that reads
	start  sync.Once
	reads  chan read

	mu    sync.Mutex
	owner string // the pipeline that has it open

	// Only the source that runs touches these.
	queue []read // read and not cut yet
	err   error  // what the stream ended with
	first []byte // the first line that is not empty, once it was cut
}

// read is what one read of the stream brought.
type read struct {
	segment lines.Segment
	arrived int64
	err     error
}

func newInput(r io.Reader) *input {
	in := &input{reads: make(chan read, ahead)}
	in.reader = lines.NewReader(r, &in.pool, in.limit.Load)
	return in
}

func (in *input) claim(pipeline string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.owner != "" {
		return flow.Errorf(flow.ConfigError, flow.CodeRefused, "open stdin: pipeline %q reads it already", in.owner)
	}
	in.owner = pipeline
	return nil
}

func (in *input) release() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.owner = ""
}

// heading is the stream's, for a source that takes its first line for a header, also when another source has read that line.
func (in *input) heading(under func([]byte) document.Coder) *lines.Heading {
	h := &lines.Heading{Under: func(header []byte) document.Coder {
		in.first = header
		return under(header)
	}}
	if in.first != nil {
		h.Meet(in.first, 0)
	}
	return h
}

// pump reads until the stream ends.
func (in *input) pump() {
	defer in.reader.Close()
	for {
		s, err := in.reader.Next()
		in.reads <- read{segment: s, arrived: time.Now().UnixNano(), err: err}
		if err != nil {
			return
		}
	}
}

// fill makes the queue hold something, joined with what has been read meanwhile. It waits for the first read alone, and returns false
// at the end of the stream and when ctx is done.
func (in *input) fill(ctx context.Context) bool {
	if len(in.queue) == 0 && in.err == nil {
		select {
		case r := <-in.reads:
			in.enqueue(r)
		case <-ctx.Done():
			return false
		}
	}
	for len(in.queue) == 1 && in.err == nil {
		select {
		case r := <-in.reads:
			in.enqueue(r)
			continue
		default:
		}
		break
	}
	return len(in.queue) > 0 && ctx.Err() == nil
}

func (in *input) enqueue(r read) {
	switch n := len(in.queue); {
	case r.err != nil:
		in.err = r.err
	case n > 0 && in.queue[n-1].segment.Join(r.segment):
	default:
		in.queue = append(in.queue, r)
	}
}

// drop takes the first read out of the queue once all of it has been cut.
func (in *input) drop() {
	in.queue[0].segment.Release()
	in.queue = append(in.queue[:0], in.queue[1:]...)
}

type source struct {
	input   *input
	batcher lines.Batcher
	closing sync.Once
}

// Run implements flow.Source.
func (s *source) Run(ctx context.Context, to flow.Intake) error {
	in := s.input
	in.start.Do(func() { go in.pump() })
	for in.fill(ctx) {
		head := &in.queue[0]
		before, first := head.segment, in.first
		batch := s.batcher.Cut(&head.segment, head.arrived)
		if batch == nil {
			in.drop()
			continue
		}
		if in.first == nil {
			in.first = bytes.Clone(batch.Records[0].Body)
		}
		if err := to.Push(ctx, batch); err != nil {
			head.segment, in.first = before, first // for the next source that opens stdin
			s.batcher.Settle(batch)
			return stopped(ctx, err)
		}
	}
	if in.err != nil && !errors.Is(in.err, io.EOF) && ctx.Err() == nil {
		return fmt.Errorf("read stdin: %w", in.err)
	}
	return nil
}

// stopped is nil when a push failed because the source is to stop.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // a source that is told to stop has not failed
	}
	return err
}

// Settle implements flow.Source.
func (s *source) Settle(b *flow.Batch) { s.batcher.Settle(b) }

// Close implements flow.Source.
func (s *source) Close(context.Context) error {
	s.closing.Do(s.input.release)
	return nil
}
