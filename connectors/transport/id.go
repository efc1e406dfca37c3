package transport

import "github.com/millstream/millstream/flow"

// IDHeader carries the id of a message that was made of another one.
const IDHeader = "millstream-id"

// DerivedID is the id of a message that split made, for one sink: its own id and the sink's name, so that neither the elements of one
// record nor copies of it in several sinks are taken for duplicates. Empty for a message that is its record still: that keeps the id
// which its producer gave it.
func DerivedID(m *flow.Message, sink string) string {
	whole := m.Record().ID
	if whole == "" {
		whole = m.Origin()
	}
	if id := m.ID(); id != whole {
		return id + "/" + sink
	}
	return ""
}
