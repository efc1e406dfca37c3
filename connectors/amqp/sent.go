package amqp

import (
	"sort"

	"github.com/millstream/millstream/flow"
)

// SentHeaders implements flow.HeaderPreparer.
func (*preparer) SentHeaders(o *flow.Outgoing) []flow.Header {
	pub, ok := o.Native.(*publishing)
	if !ok {
		return nil
	}
	headers := make([]flow.Header, 0, len(pub.message.Headers))
	for name, v := range pub.message.Headers {
		headers = append(headers, headerOf(name, v))
	}
	sort.Slice(headers, func(i, k int) bool { return headers[i].Name < headers[k].Name })
	return headers
}
