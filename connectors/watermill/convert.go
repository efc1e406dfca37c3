package watermill

import (
	"bytes"
	"slices"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
)

// MessageOf makes a message of a record. Headers become text; of repeated names the last one counts. The UUID is that of UUIDHeader, else
// the record's id, else a new one.
func MessageOf(r *flow.Record) *message.Message {
	m := message.NewMessage(r.ID, bytes.Clone(r.Body))
	for _, h := range r.Headers {
		if h.Name == UUIDHeader {
			m.UUID = h.Text()
			continue
		}
		m.Metadata.Set(h.Name, h.Text())
	}
	if m.UUID == "" {
		m.UUID = watermill.NewUUID()
	}
	return m
}

// HeadersOf are a message's metadata as headers in the order of their names, with its UUID in front.
func HeadersOf(m *message.Message) []flow.Header {
	names := make([]string, 0, len(m.Metadata))
	for name := range m.Metadata {
		if name != UUIDHeader {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	hs := make([]flow.Header, 0, len(names)+1)
	hs = append(hs, flow.TextHeader(UUIDHeader, m.UUID))
	for _, name := range names {
		hs = append(hs, flow.TextHeader(name, m.Metadata[name]))
	}
	return hs
}
