package kafka

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// SentHeaders implements flow.HeaderPreparer.
func (*preparer) SentHeaders(o *flow.Outgoing) []flow.Header {
	extra, ok := o.Native.(*prepared)
	if !ok {
		return nil
	}
	headers := make([]flow.Header, len(extra.headers))
	for i, h := range extra.headers {
		headers[i].Name = h.Key
		if h.Value != nil {
			headers[i].Value = value.Bytes(h.Value)
		}
	}
	return headers
}
