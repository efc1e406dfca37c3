package transport

import (
	"strings"

	"github.com/millstream/millstream/flow"
)

// The most that a message's headers may take on the way into another technology, whose brokers and clients may take less than where they
// came from.
const (
	maxHeaders     = 64
	maxHeader      = 8 << 10
	maxHeaderBytes = 32 << 10
)

// CheckHeaders refuses a message that has too many headers for another technology, or too large ones. What the product adds does not count.
func CheckHeaders(hs []flow.Header) error {
	count, bytes := 0, 0
	for i := range hs {
		h := &hs[i]
		if strings.HasPrefix(h.Name, "millstream-") || Foreign(h.Name) {
			continue
		}
		size := len(h.Name) + len(h.Text())
		if size > maxHeader {
			return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the header %.40q has %d bytes, the most is %d", h.Name, size, maxHeader)
		}
		count++
		bytes += size
	}
	switch {
	case count > maxHeaders:
		return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the message has %d headers, the most is %d", count, maxHeaders)
	case bytes > maxHeaderBytes:
		return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the headers take %d bytes, the most is %d", bytes, maxHeaderBytes)
	}
	return nil
}
