package httpclient

import (
	"net/http"
	"strconv"
	"time"

	"github.com/millstream/millstream/flow"
)

// maxAfter bounds how long another side's Retry-After is believed.
const maxAfter = 10 * time.Minute

// StatusError says what an answer's status means for the message: nil for 2xx; transient for 5xx, 408 and 429 (throttled), with what
// Retry-After asks for in After; permanent for all others, redirects among them. It shows the status, nothing of the body.
func StatusError(r *Response) *flow.Error {
	class, code := flow.Permanent, flow.CodeRefused
	switch {
	case r.Status >= 200 && r.Status <= 299:
		return nil
	case r.Status == http.StatusTooManyRequests:
		class, code = flow.Transient, flow.CodeThrottled
	case r.Status >= 500, r.Status == http.StatusRequestTimeout:
		class, code = flow.Transient, flow.CodeUnavailable
	case r.Status == http.StatusRequestEntityTooLarge:
		code = flow.CodeTooLarge
	}
	e := flow.Errorf(class, code, "the answer is %d %s", r.Status, http.StatusText(r.Status))
	if class == flow.Transient {
		e.After = RetryAfter(r.Header, time.Now())
	}
	return e
}

// RetryAfter reads the header of that name, seconds or a date (RFC 9110, 10.2.3); 0 when there is none, none that can be read, or one
// that has passed. More than ten minutes are not believed.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxAfter)
	}
	return 0
}
