package file

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/millstream/millstream/flow"
)

const (
	// freeExpansion is what a compressed file may become whatever its size.
	freeExpansion = 16 << 20
	// maxWindow is how far back a zstd file may refer, which is what its decoder must keep.
	maxWindow = 64 << 20
)

// isCompressed tells by a file's name whether its content is.
func isCompressed(path string) bool {
	return strings.HasSuffix(path, ".gz") || strings.HasSuffix(path, ".zst")
}

// expand gives what a file holds: of one whose name ends in .gz or .zst what is compressed there. ratio is how many times as large as
// the file its content may be.
func expand(path string, f io.Reader, ratio int) (io.Reader, func(), error) {
	in := &counted{from: f}
	switch {
	case strings.HasSuffix(path, ".gz"):
		z, err := gzip.NewReader(bufio.NewReaderSize(in, 64<<10))
		if err != nil {
			return nil, nil, notCompressed(err)
		}
		return &expanded{from: z, in: in, ratio: int64(ratio)}, func() { _ = z.Close() }, nil
	case strings.HasSuffix(path, ".zst"):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, notCompressed(err)
		}
		return &expanded{from: z, in: in, ratio: int64(ratio)}, z.Close, nil
	}
	return f, func() {}, nil
}

type counted struct {
	from io.Reader
	n    int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// expanded reads what was compressed and stops where it becomes too much. Its errors keep the end of the file, which comes as io.EOF,
// apart from a file that is cut short.
type expanded struct {
	from  io.Reader
	in    *counted
	ratio int64
	n     int64
}

// Read implements io.Reader.
func (e *expanded) Read(p []byte) (int, error) {
	n, err := e.from.Read(p)
	e.n += int64(n)
	if e.n > freeExpansion && e.n/e.ratio > e.in.n {
		return 0, flow.Errorf(flow.ConfigError, flow.CodeTooLarge, "it becomes more than %d times as large as it is, which is max_expansion", e.ratio)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, notCompressed(err)
	}
	return n, err
}

// notCompressed says that a file is not what its name says. A file that ends too early may be one that is still being written.
func notCompressed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return flow.Errorf(flow.Transient, flow.CodeDecode, "it is not complete: %w", io.ErrUnexpectedEOF)
	}
	return flow.Errorf(flow.ConfigError, flow.CodeDecode, "its content is not what its name says: %w", err)
}
