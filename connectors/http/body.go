package http

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	nethttp "net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/millstream/millstream/flow"
)

// memory is how many bytes the requests of a source may take together. It does not wait: who is refused comes again.
type memory struct {
	most int64
	used atomic.Int64
}

func (m *memory) take(n int64) bool {
	if m.used.Add(n) > m.most {
		m.used.Add(-n)
		return false
	}
	return true
}

func (m *memory) give(n int64) { m.used.Add(-n) }

// maxRatio is how many times its size a packed body may become, where it becomes more than anyRatio.
const (
	maxRatio = 100
	anyRatio = 64 << 10
)

// firstRead is how much room a body gets before anything of it has come: what a client announces is not believed.
const firstRead = 4 << 10

// room is a body that grows as it comes, paid for from a source's memory.
type room struct {
	memory *memory
	charge *int64
	most   int64
}

// readAll reads a body of announced bytes (-1 unknown). The answer's status is 0 when it is whole.
func (b room) readAll(r io.Reader, announced int64) ([]byte, answer) {
	if announced > b.most {
		return nil, tooLarge(b.most)
	}
	if announced == 0 {
		return []byte{}, answer{}
	}
	var body []byte
	for {
		if len(body) == cap(body) {
			next := max(firstRead, 2*int64(cap(body)))
			if announced > 0 {
				next = min(next, announced+1) // one more, to see the end without growing again
			}
			if !b.grow(&body, min(next, b.most+1)) {
				return nil, busy
			}
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > b.most:
			return nil, tooLarge(b.most)
		case errors.Is(err, io.EOF):
			return body, answer{}
		case err != nil:
			return nil, cut(err)
		}
	}
}

// grow moves a body into a larger room.
func (b room) grow(body *[]byte, size int64) bool {
	more := size - int64(cap(*body))
	if !b.memory.take(more) {
		return false
	}
	*b.charge += more
	*body = append(make([]byte, 0, size), *body...)
	return true
}

// unpack reads what Content-Encoding says of a body: gzip, or nothing.
func (b room) unpack(encoding string, body []byte) ([]byte, answer) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, answer{}
	case "gzip", "x-gzip":
	default:
		return nil, answer{status: nethttp.StatusUnsupportedMediaType, code: flow.CodeDecode, message: "the content encoding must be gzip or identity"}
	}
	broken := answer{status: nethttp.StatusBadRequest, code: flow.CodeDecode, message: "the body is no gzip"}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, broken
	}
	b.most = min(b.most, max(maxRatio*int64(len(body)), anyRatio))
	plain, failed := b.readAll(z, -1)
	if failed.status == nethttp.StatusBadRequest {
		return nil, broken
	}
	return plain, failed
}

// busy is the answer when there is no room.
var busy = answer{status: nethttp.StatusServiceUnavailable, code: flow.CodeUnavailable, message: "too much is under way; come again"}

func tooLarge(most int64) answer {
	return answer{status: nethttp.StatusRequestEntityTooLarge, code: flow.CodeTooLarge, message: "the body has more than " + bytesText(most)}
}

// cut says what a body that did not come whole means.
func cut(err error) answer {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return answer{status: nethttp.StatusRequestTimeout, code: flow.CodeUnavailable, message: "the body took too long"}
	}
	return answer{status: nethttp.StatusBadRequest, code: flow.CodeDecode, message: "the body did not come whole"}
}
