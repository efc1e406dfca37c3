package http

import (
	"context"
	"encoding/json"
	nethttp "net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/flow"
)

// handOver is how long a request waits for a source that takes over from another one.
const handOver = 3 * time.Second

// retryAfter is how many seconds a client that got 503 is asked to wait.
const retryAfter = "2"

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	defer s.handlers.Add(-1)
	if s.handlers.Add(1) > maxHandlers {
		write(w, busy)
		return
	}
	late := time.Now().Add(handOver)
	var read *request
	for {
		c, soon, known := s.find(r.URL.Path)
		var a answer
		switch {
		case c != nil:
			if read == nil {
				read, a = c.receive(w, r)
			}
			if a.status == 0 {
				a = c.adopt(read)
			}
		case soon != nil && s.wait(r.Context(), soon, time.Until(late)):
			continue
		case known:
			a = answer{status: nethttp.StatusServiceUnavailable, code: flow.CodeUnavailable, message: "the pipeline is stopping"}
		default:
			a = answer{status: nethttp.StatusNotFound, code: flow.CodeMissing, message: "nothing listens at this path"}
		}
		if a.again {
			continue
		}
		write(w, a)
		return
	}
}

func (s *server) wait(ctx context.Context, on <-chan struct{}, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-on:
		return true
	case <-t.C:
	case <-s.quit:
	case <-ctx.Done():
	}
	return false
}

// write sends an answer. The connection of a client whose body was not read is closed.
func write(w nethttp.ResponseWriter, a answer) {
	if a.ok() {
		return // net/http says 200, and that no body follows
	}
	h := w.Header()
	text, err := json.Marshal(map[string]map[string]string{"error": {"code": string(a.code), "message": a.message}})
	if err != nil {
		text = nil
	}
	switch a.status {
	case nethttp.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	case nethttp.StatusRequestEntityTooLarge, nethttp.StatusRequestTimeout, nethttp.StatusBadRequest, nethttp.StatusUnauthorized:
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(a.status)
	_, _ = w.Write(text) // a client that does not read its answer has the message still
}

// receive reads a request and looks whether it may be sent. The answer's status is 0 when it may.
func (c *source) receive(w nethttp.ResponseWriter, r *nethttp.Request) (*request, answer) {
	if !slices.Contains(c.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(c.methods, ", "))
		return nil, answer{status: nethttp.StatusMethodNotAllowed, code: flow.CodeRefused, message: "the method is not taken here"}
	}
	headers, count := headersOf(r.Header, c.secretHeader)
	if count > maxHeaders {
		return nil, answer{status: nethttp.StatusRequestHeaderFieldsTooLarge, code: flow.CodeTooLarge, message: "too many headers"}
	}
	for _, k := range c.checks {
		if !k.early(r.Header) {
			return nil, unsigned
		}
	}
	q := &request{ctx: r.Context(), record: flow.Record{
		Headers: headers, Topic: c.path, Key: keyOf(r.Header), Partition: flow.NoPartition, Attempt: 1, Props: propertiesOf(r),
	}}
	a := c.read(w, r, q)
	c.memory.give(q.charge) // adopt takes it again, at once or of the source that reads next
	return q, a
}

// read takes in the body and looks whether its sender may send it.
func (c *source) read(w nethttp.ResponseWriter, r *nethttp.Request, q *request) answer {
	control := nethttp.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(c.settings.read)) // not every connection knows deadlines; those that do not are a test's
	room := room{memory: &c.memory, charge: &q.charge, most: c.limits.MaxMessage}
	body, a := room.readAll(r.Body, r.ContentLength)
	if a.status != 0 {
		return a
	}
	_ = control.SetReadDeadline(time.Time{}) // what comes next on the connection is the server's
	now := time.Now()
	for _, k := range c.checks {
		if !k.allows(r.Header, body, now) {
			return unsigned
		}
	}
	if body, a = room.unpack(r.Header.Get("Content-Encoding"), body); a.status != 0 {
		return a
	}
	q.record.Body, q.record.Time = body, now.UnixNano()
	return answer{}
}

var unsigned = answer{status: nethttp.StatusUnauthorized, code: flow.CodeAuth, message: "the signature or token is missing or wrong"}

// adopt hands a request that has been read to the source, and waits for what becomes of it.
func (c *source) adopt(q *request) answer {
	q.late, q.answer = time.Now().Add(c.timeout), c.answers.get()
	a := c.enqueue(q)
	if a == (answer{}) {
		a = <-q.answer
	}
	c.answers.put(q.answer)
	return a
}
