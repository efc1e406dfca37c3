package amqp

import "github.com/millstream/millstream/flow"

// sizing finds the prefetch window that keeps the bytes of unacknowledged deliveries within in_flight_bytes. AMQP counts messages alone
// (basic.qos has a size, which RabbitMQ does not take), and what was delivered can not be left on the connection: so it begins with as
// many messages as may have the largest size, and goes by the sizes that it sees.
type sizing struct {
	current, least, most int
	budget               int64
	seen                 int
	bytes                int64
}

// newSizing aims at half of in_flight_bytes: sizes change, and while the window changes two of them are open.
func newSizing(limits flow.Limits, most int) *sizing {
	s := &sizing{budget: max(1, limits.InFlightBytes/2), most: most}
	s.least = int(min(max(1, s.budget/max(1, limits.MaxMessage)), int64(most)))
	s.current = s.least
	return s
}

// fixed is a window that the file gives.
func fixed(prefetch int) *sizing {
	return &sizing{current: prefetch, least: prefetch, most: prefetch, budget: 1}
}

// saw counts a delivery. It reports whether another window, now in current, is much better than the one in use.
func (s *sizing) saw(size int) (change bool) {
	if s.least == s.most {
		return false
	}
	s.seen++
	s.bytes += int64(size) + 64
	if s.seen < s.current && s.bytes <= s.budget {
		return false
	}
	fitting := s.budget * int64(s.seen) / s.bytes
	better := int(min(max(fitting, int64(s.least)), int64(s.most)))
	s.seen, s.bytes = 0, 0
	if better < 2*s.current && 2*better > s.current {
		return false
	}
	change = better != s.current
	s.current = better
	return change
}
