package codec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// The limits on what a compressed payload may become.
const (
	maxRatio = 100
	// maxTimes of max_message is the most that any payload may become.
	maxTimes = 4
	// smallOutput may come of any payload, whatever its ratio: a few bytes that repeat are no bomb.
	smallOutput = 64 << 10
)

// expansion is how many bytes a payload of n bytes may become.
func expansion(n, most int64) int64 {
	return min(max(n*maxRatio, smallOutput), most*maxTimes)
}

func errExpands(limit int64) error {
	return fmt.Errorf("it holds more than %d bytes: at most %d times its size and %d times max_message is taken", limit, maxRatio, maxTimes)
}

// Gzip is the byte codec gzip; level is 1 (fast) to 9 (small).
func Gzip(level int) (Layer, error) {
	if _, err := gzip.NewWriterLevel(io.Discard, level); err != nil || level < 1 {
		return Layer{}, errors.New("the level of gzip is 1 to 9")
	}
	readers := &sync.Pool{New: func() any { return new(gzip.Reader) }}
	writers := &sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(io.Discard, level) // the level has been tried
		return w
	}}
	return Layer{
		Name: "gzip", Encoding: "gzip", Compresses: true,
		Undo: func(b []byte, limit int64) ([]byte, error) {
			r, _ := readers.Get().(*gzip.Reader)
			defer readers.Put(r)
			if err := r.Reset(bytes.NewReader(b)); err != nil {
				return nil, err
			}
			return readBounded(r, len(b), limit)
		},
		Do: func(dst, b []byte) ([]byte, error) {
			w, _ := writers.Get().(*gzip.Writer)
			defer writers.Put(w)
			out := bytes.NewBuffer(dst)
			w.Reset(out)
			return written(w, out, b)
		},
	}, nil
}

// written ends a stream that holds b alone.
func written(w io.WriteCloser, out *bytes.Buffer, b []byte) ([]byte, error) {
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// readBounded reads all that comes, and refuses more than limit bytes before it has taken much more.
func readBounded(r io.Reader, size int, limit int64) ([]byte, error) {
	out := make([]byte, 0, min(int64(size)*4+512, limit+1))
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case int64(len(out)) > limit:
			return nil, errExpands(limit)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
	}
}

// Zstd is the byte codec zstd.
func Zstd() (Layer, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return Layer{}, err
	}
	readers := &sync.Pool{New: func() any {
		r, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		return r // the options are fine
	}}
	return Layer{
		Name: "zstd", Encoding: "zstd", Compresses: true,
		Undo: func(b []byte, limit int64) ([]byte, error) {
			r, _ := readers.Get().(*zstd.Decoder)
			defer readers.Put(r)
			if err := r.Reset(bytes.NewReader(b)); err != nil {
				return nil, err
			}
			return readBounded(r, len(b), limit)
		},
		Do: func(dst, b []byte) ([]byte, error) { return w.EncodeAll(b, dst), nil },
	}, nil
}

// zstdWindow is the largest window that a payload may ask for: what the format tells every decoder to support.
const zstdWindow = 8 << 20

// Snappy is the byte codec snappy: one block, or the framing format.
func Snappy(framed bool) Layer {
	if framed {
		return Layer{Name: "snappy", Compresses: true, Undo: undoSnappyFrames, Do: func(dst, b []byte) ([]byte, error) {
			out := bytes.NewBuffer(dst)
			return written(snappy.NewBufferedWriter(out), out, b)
		}}
	}
	return Layer{
		Name: "snappy", Compresses: true,
		Undo: func(b []byte, limit int64) ([]byte, error) {
			n, err := snappy.DecodedLen(b)
			switch {
			case err != nil:
				return nil, err
			case int64(n) > limit:
				return nil, errExpands(limit)
			}
			return snappy.Decode(nil, b)
		},
		Do: func(dst, b []byte) ([]byte, error) { return append(dst, snappy.Encode(nil, b)...), nil },
	}
}

func undoSnappyFrames(b []byte, limit int64) ([]byte, error) {
	return readBounded(snappy.NewReader(bytes.NewReader(b)), len(b), limit)
}

// Base64 is the byte codec base64: of the standard or the URL alphabet, with or without padding. Line ends are passed over.
func Base64(url, padding bool) Layer {
	e := base64.StdEncoding
	if url {
		e = base64.URLEncoding
	}
	if !padding {
		e = e.WithPadding(base64.NoPadding)
	}
	e = e.Strict()
	return Layer{
		Name: "base64",
		Undo: func(b []byte, _ int64) ([]byte, error) {
			out := make([]byte, e.DecodedLen(len(b)))
			n, err := e.Decode(out, b)
			var at base64.CorruptInputError
			if errors.As(err, &at) {
				return nil, fmt.Errorf("this is no base64, at byte %d", int64(at))
			}
			return out[:n], err
		},
		Do: func(dst, b []byte) ([]byte, error) { return e.AppendEncode(dst, b), nil },
	}
}
