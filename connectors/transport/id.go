package transport

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/millstream/millstream/flow"
)

// IDHeader carries the id by which a message is told from all others, also from the copies of its record that went elsewhere.
const IDHeader = "millstream-id"

// DerivedID is the id of a message that split made, for one sink: its own id and the sink's name, so that neither the elements of one
// record nor copies of it in several sinks are taken for duplicates. Empty for a message that is its record still: that keeps the id
// which its producer gave it. It need not be the same when the record is delivered again.
func DerivedID(m *flow.Message, sink string) string {
	if m.Elements() != "" {
		return m.ID() + "/" + sink
	}
	return ""
}

// maxID is the most bytes of a deduplication id: what a property of AMQP can hold.
const maxID = 255

// DeduplicationID is an id that a message has in one sink and nowhere else, and that it has again when its record is read and sent again.
// It is what tells the record from all others, what split added, the edges on which it came where it could come on several, and the sink's
// name. A record is told by the id that an earlier pipeline
// gave it, else by the one that its producer gave it, else by its place in a source whose places stay what they are: a topic of Kafka. One
// that has none of them gets no id, since one that another record may have too would lose messages: delivery tags of a queue begin anew
// with each connection.
//
// always asks for an id of every message; else it is empty for a message that neither split nor an earlier pipeline has given one: what
// stays in one technology stays as it is.
func DeduplicationID(m *flow.Message, sink string, always bool) string {
	base, carried := m.Meta(IDHeader)
	suffix := m.Elements()
	if !carried && suffix == "" && !always {
		return ""
	}
	if base == "" {
		if base = m.Record().ID; base == "" && m.Connector() == "kafka" {
			base = m.Origin()
		}
	}
	if base == "" {
		return ""
	}
	return bounded(base, suffix+m.Ways()+"/"+sink)
}

// bounded puts an id together; where it would be too long, a hash stands for its end.
func bounded(base, end string) string {
	if len(base)+len(end) <= maxID {
		return base + end
	}
	sum := sha256.Sum256([]byte(base + end))
	return strings.ToValidUTF8(base[:min(len(base), maxID-33)], "") + "~" + hex.EncodeToString(sum[:16])
}
