package lines

import (
	"bytes"
	"fmt"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// Heading is the header line of one stream, above its other lines. The zero value is that of a stream which has none.
type Heading struct {
	// Under makes of a header line how the others read. nil: no line is a header.
	Under func(header []byte) document.Coder

	coder document.Coder // nil: the line was not met yet
}

// Known tells whether the header line, if there is to be one, has been met.
func (h *Heading) Known() bool { return h.Under == nil || h.coder != nil }

// Meet takes the first line of the stream that is not empty. length is the line's own, where it is over the limit and cut; else 0.
func (h *Heading) Meet(line []byte, length int64) {
	if length > 0 {
		h.coder = tooLong(length)
		return
	}
	h.coder = h.Under(bytes.Clone(line))
}

// tooLong is the length of a header line that is over the limit: nothing can be read under it.
type tooLong int64

func (n tooLong) err() error {
	return fmt.Errorf("the header line has %d bytes, more than max_message", int64(n))
}

// Decode implements document.Coder.
func (n tooLong) Decode([]byte) (value.Value, error) { return value.Value{}, n.err() }

// Append implements document.Coder.
func (n tooLong) Append(dst []byte, _ value.Value) ([]byte, error) { return dst, n.err() }
