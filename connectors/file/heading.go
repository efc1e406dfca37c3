package file

import (
	"errors"
	"io"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
)

// headingOf is the heading of a file that is read from its beginning; nil where no line is a header.
func headingOf(under func(header []byte) document.Coder) *lines.Heading {
	if under == nil {
		return nil
	}
	return &lines.Heading{Under: under}
}

// head finds the header line of a file whose reading goes on behind it: an earlier run has read it, or the file is read from its end on.
func (f *follower) head(t *tail) error {
	if f.under == nil || t.heading != nil {
		return nil
	}
	h := headingOf(f.under)
	if t.offset > 0 {
		if err := f.meet(t, h); err != nil {
			return err
		}
	}
	t.heading = h
	return nil
}

// meet reads a file from its beginning on, up to its header line.
func (f *follower) meet(t *tail, h *lines.Heading) error {
	from, closing, err := t.readerAt(0, f.ratio)
	if err != nil {
		return err
	}
	defer closing()
	reader := lines.NewReader(from, &f.pool, func() int64 { return f.limits.MaxMessage })
	defer reader.Close()
	one := lines.Batcher{Limits: flow.Limits{MaxMessage: f.limits.MaxMessage, InFlight: 1, InFlightBytes: 1}, Heading: h}
	for !h.Known() {
		segment, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil // empty lines alone
		}
		if err != nil {
			return err
		}
		if batch := one.Cut(&segment, 0); batch != nil {
			one.Settle(batch)
		}
		segment.Release()
	}
	return nil
}
