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
	if props == nil || props.TTL <= 0 || isLetter(o) {
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

func isLetter(o *flow.Outgoing) bool {
	for _, h := range o.Headers() {
		if strings.HasPrefix(h.Name, "millstream-error-") {
			return true
		}
	}
	return false
}
