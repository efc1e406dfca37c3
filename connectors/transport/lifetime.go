package transport

import (
	"strings"
	"time"

	"github.com/millstream/millstream/flow"
)

// Lifetime is what is left of the time to live that the source stated; 0 is none. A message whose time has passed is an error of code
// expired. A dead letter has none: it is kept until somebody looks at it.
func Lifetime(m *flow.Message, o *flow.Outgoing) (time.Duration, error) {
	props := o.Props()
	if props == nil || props.TTL <= 0 || IsLetter(o) {
		return 0, nil
	}
	arrived := o.Arrived()
	if arrived.IsZero() {
		return props.TTL, nil
	}
	left := props.TTL - max(0, m.Now().Sub(arrived))
	if left <= 0 {
		return 0, flow.Errorf(flow.Permanent, flow.CodeExpired, "the message's time to live of %s has passed", props.TTL)
	}
	return left, nil
}

// TTLHeader and ExpiresHeader carry a time to live where messages have none: what is left of it in milliseconds, and the time at which it
// ends, in milliseconds since 1970.
const (
	TTLHeader     = "millstream-ttl-ms"
	ExpiresHeader = "millstream-expires-at"
)

// IsLetter tells whether a message goes out as a dead letter.
func IsLetter(o *flow.Outgoing) bool {
	for _, h := range o.Headers() {
		if strings.HasPrefix(h.Name, "millstream-error-") {
			return true
		}
	}
	return false
}
