package stdio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// Sink is the configuration of stdout. It has no options. A message is one line; a payload that holds a newline is an error, and so is
// a message without a payload. A header line of CSV is written once, before the first message.
type Sink struct {
	output *output
}

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	head := b.Head
	return config.Sink{
		Lines: true, Preparer: preparer{},
		Open: func(context.Context, flow.Host) (flow.Sink, error) { return sink{c.output, string(head)}, nil },
	}
}

type preparer struct{}

// Prepare implements flow.Preparer.
func (preparer) Prepare(_ *flow.Message, o *flow.Outgoing) error {
	return lines.CheckPayload(o.Body, "stdout")
}

type sink struct {
	output *output
	head   string // the header line; empty: none
}

// Send implements flow.Sink.
func (s sink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	s.output.send(ctx, s.head, outs)
	done()
}

// Close implements flow.Sink. The stream belongs to the process.
func (s sink) Close(context.Context) error { return nil }

// output is the stream behind all stdout sinks of a registry. One batch is written at a time, by one Write.
type output struct {
	to io.Writer
	// direct: a write does not wait for a reader on the other side, so that it needs no goroutine of its own.
	direct bool
	// turn holds the pen while nobody writes. The rest belongs to who has taken it.
	turn chan *pen
}

// pen is what the one who writes needs.
type pen struct {
	buf []byte
	// torn is how much of buf a failed write has left of a line that it began; it must go out before anything else.
	torn []byte
	// heads are the header lines that went out.
	heads map[string]bool
}

// maxKept is the largest buffer that is kept for the next batch.
const maxKept = 4 << 20

func newOutput(w io.Writer) *output {
	o := &output{to: w, direct: neverWaits(w), turn: make(chan *pen, 1)}
	o.turn <- &pen{}
	return o
}

// neverWaits tells that w is a regular file or the null device.
func neverWaits(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || f == nil {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return info.Mode().IsRegular() || err == nil && os.SameFile(info, null)
}

// result is what became of a write: so many bytes of whole buffer went out.
type result struct {
	written int
	err     error
}

// under has a header line written before anything else, unless it was.
func (p *pen) under(head string) {
	if head == "" || p.heads[head] {
		return
	}
	if p.heads == nil {
		p.heads = map[string]bool{}
	}
	p.heads[head] = true
	p.torn = append(append(p.torn, head...), '\n')
}

// send writes outs as lines below a header line and sets their errors. When ctx ends before the write does, the errors say so and the write is left to end
// by itself, keeping its turn.
func (o *output) send(ctx context.Context, head string, outs []*flow.Outgoing) {
	var p *pen
	select {
	case p = <-o.turn:
	case <-ctx.Done():
		fail(outs, notWritten(ctx))
		return
	}
	if ctx.Err() != nil {
		o.turn <- p
		fail(outs, notWritten(ctx))
		return
	}
	p.under(head)
	p.fill(outs)
	carried := len(p.torn)
	if o.direct {
		r := o.write(p)
		settle(outs, r, carried)
		return
	}
	results := make(chan result, 1)
	go func() { results <- o.write(p) }()
	select {
	case r := <-results:
		settle(outs, r, carried)
	case <-ctx.Done():
		fail(outs, notWritten(ctx))
	}
}

func (p *pen) fill(outs []*flow.Outgoing) {
	p.buf = append(p.buf[:0], p.torn...)
	for _, out := range outs {
		p.buf = append(p.buf, out.Body...)
		p.buf = append(p.buf, '\n')
	}
}

// write writes the pen's buffer and hands the pen on. Of a line that went out in part, the rest is kept: it is written before the
// next batch, so that lines stay whole. Its message has failed all the same and may come again.
func (o *output) write(p *pen) result {
	n, err := o.to.Write(p.buf)
	if err == nil && n < len(p.buf) {
		err = io.ErrShortWrite
	}
	n = max(0, min(n, len(p.buf)))
	p.torn = append(p.torn[:0], unfinished(p.buf, n, len(p.torn))...)
	if cap(p.buf) > maxKept {
		p.buf = nil
	}
	o.turn <- p
	return result{n, err}
}

// unfinished is what is missing of the line that a write of buf left off in behind n bytes. The first carried bytes are the end of a
// line that was begun earlier.
func unfinished(buf []byte, n, carried int) []byte {
	switch {
	case n < carried:
		return buf[n:carried]
	case n == carried, n == len(buf), buf[n-1] == '\n':
		return nil
	}
	return buf[n : n+bytes.IndexByte(buf[n:], '\n')+1]
}

// settle sets the errors: what went out whole is delivered. carried bytes of the buffer belong to an earlier batch.
func settle(outs []*flow.Outgoing, r result, carried int) {
	if r.err == nil {
		for _, out := range outs {
			out.Err = nil
		}
		return
	}
	failure := writeError(r.err)
	end := carried
	for _, out := range outs {
		if end += len(out.Body) + 1; end <= r.written {
			out.Err = nil
		} else {
			out.Err = failure
		}
	}
}

func fail(outs []*flow.Outgoing, err error) {
	for _, out := range outs {
		out.Err = err
	}
}

func notWritten(ctx context.Context) error {
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "write to stdout: %w", context.Cause(ctx))
}

func writeError(err error) error {
	switch {
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe), errors.Is(err, fs.ErrClosed):
		return flow.Errorf(flow.ConfigError, flow.CodeUnavailable, "write to stdout: nobody reads it any more: %w", err)
	}
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "write to stdout: %w", err)
}
