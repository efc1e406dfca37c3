package kafka

import (
	"cmp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

const (
	hintPrefix = "millstream-ht-"
	prefix     = "millstream-"
)

// headersOf are the record's headers: the message's own, then the properties that have no header of their own, and what tells copies
// and origins apart. They are in memory of their own: the messages of an optional sink outlive their batch.
func (p *preparer) headersOf(m *flow.Message, o *flow.Outgoing, left time.Duration) ([]kgo.RecordHeader, error) {
	own, props := o.Headers(), o.Props()
	w := headerWriter{foreign: m.Connector() != "kafka"}
	if len(own) > 0 || props != nil {
		w.makeRoom(own)
	}
	id := transport.DeduplicationID(m, p.name, w.foreign)
	for _, h := range own {
		switch {
		case w.foreign && transport.Foreign(h.Name), h.Name == transport.IDHeader && id != "",
			strings.HasPrefix(h.Name, hintPrefix) && staleHint(own, h.Name[len(hintPrefix):]):
		default:
			w.header(h)
		}
	}
	if props != nil {
		w.properties(props, left, m.Now())
	}
	if p.constant != "" {
		w.text(transport.AddressHeader, transport.SourceAddress(m))
	}
	w.text(transport.IDHeader, id)
	if len(w.hs) == 0 {
		return nil, w.err
	}
	return w.hs, w.err
}

// staleHint tells whether a type hint that came with the message is about a header that a node has written since: that one gets a
// hint of its own, or needs none.
func staleHint(hs []flow.Header, name string) bool {
	written := false
	for _, h := range hs {
		if h.Name != name {
			continue
		}
		if h.Value.Kind() == value.KindBytes {
			return false
		}
		written = true
	}
	return written
}

// headerWriter writes headers into memory of its own, which they share.
type headerWriter struct {
	hs      []kgo.RecordHeader
	room    []byte
	foreign bool // the message comes from another technology, which tells text from bytes
	err     error
}

func (w *headerWriter) makeRoom(hs []flow.Header) {
	n := 1
	for i := range hs {
		switch v := hs[i].Value; v.Kind() {
		case value.KindBytes:
			n += len(v.BytesValue())
		case value.KindString:
			n += len(v.Str())
		default:
			n += 24
		}
	}
	w.room, w.hs = make([]byte, 0, n), make([]kgo.RecordHeader, 0, len(hs)+8)
}

// header writes a header as bytes, with a hint of its type where bytes do not tell it.
func (w *headerWriter) header(h flow.Header) {
	switch k := h.Value.Kind(); k {
	case value.KindBytes:
		b := h.Value.BytesValue()
		if b == nil {
			w.hs = append(w.hs, kgo.RecordHeader{Key: h.Name})
			return
		}
		w.room = append(w.room, b...)
		w.put(h.Name, len(b))
		if w.foreign && utf8.Valid(b) {
			w.add(hintPrefix+h.Name, k.String())
		}
	case value.KindString:
		w.add(h.Name, h.Value.Str())
	case value.KindNil:
		w.hs = append(w.hs, kgo.RecordHeader{Key: h.Name})
		w.add(hintPrefix+h.Name, k.String())
	default:
		text, hint, err := hinted(h.Value)
		if err != nil {
			w.err = cmp.Or(w.err, error(flow.Errorf(flow.Permanent, flow.CodeEncode, "header %q: %w", h.Name, err)))
			return
		}
		w.add(h.Name, text)
		w.add(hintPrefix+h.Name, hint)
	}
}

func (w *headerWriter) add(name, text string) {
	w.room = append(w.room, text...)
	w.put(name, len(text))
}

// put adds a header whose value is the last n bytes that were written.
func (w *headerWriter) put(name string, n int) {
	if w.room == nil {
		w.room = []byte{} // an empty value is not a null one
	}
	end := len(w.room)
	w.hs = append(w.hs, kgo.RecordHeader{Key: name, Value: w.room[end-n : end : end]})
}

// text adds a header of ours, unless its text is empty or the message has one of that name.
func (w *headerWriter) text(name, text string) {
	if text != "" && !hasHeader(w.hs, name) {
		w.add(name, text)
	}
}

// properties adds each property under its name as a header, where the message has no such header; left is what is left of its time to live.
func (w *headerWriter) properties(p *flow.Properties, left time.Duration, now time.Time) {
	w.text("content-type", p.ContentType)
	w.text("content-encoding", p.ContentEncoding)
	if !p.CorrelationID.IsNil() {
		w.text(prefix+"correlation-id", flow.Header{Value: p.CorrelationID}.Text())
	}
	w.text(prefix+"message-id", p.MessageID)
	w.text(prefix+"type", p.Type)
	w.text(prefix+"app-id", p.AppID)
	w.text(prefix+"user-id", p.UserID)
	w.text(prefix+"reply-to", p.ReplyTo)
	if p.HasPriority {
		w.text(prefix+"priority", strconv.FormatUint(uint64(p.Priority), 10))
	}
	if left > 0 {
		w.text(transport.TTLHeader, strconv.FormatInt((left+time.Millisecond-1).Milliseconds(), 10))
		w.text(transport.ExpiresHeader, strconv.FormatInt(now.Add(left).UnixMilli(), 10))
	}
}
