package flow

import (
	"strconv"
	"time"

	"github.com/millstream/millstream/flow/value"
)

// Header is one header, property or user property. Headers are typed, ordered and may repeat.
type Header struct {
	Name  string
	Value value.Value
	// Native is the value exactly as the protocol had it, when Value cannot say it all (an AMQP short integer, a nested table). A sink
	// of the same protocol writes it instead of Value, so that a hop between two brokers of one kind loses nothing. A write to the
	// header by a node removes it.
	Native any
}

// Text is the header's value as expressions read it: numbers decimal, bytes as they are, tables and lists compact JSON.
func (h Header) Text() string {
	switch v := h.Value; v.Kind() {
	case value.KindString:
		return v.Str()
	case value.KindBytes:
		return string(v.BytesValue())
	case value.KindBool:
		return strconv.FormatBool(v.Bool())
	case value.KindInt:
		return strconv.FormatInt(v.Int(), 10)
	case value.KindFloat:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	case value.KindTime:
		return v.Time().UTC().Format(time.RFC3339Nano)
	case value.KindNil:
		return ""
	default:
		b, err := value.AppendJSON(nil, v)
		if err != nil {
			return ""
		}
		return string(b)
	}
}

// TextHeader is a header whose value is text.
func TextHeader(name, text string) Header { return Header{Name: name, Value: value.String(text)} }

// lastHeader finds the last header of that name: of repeated names the last one is what reading gives.
func lastHeader(hs []Header, name string) (Header, bool) {
	for i := len(hs) - 1; i >= 0; i-- {
		if hs[i].Name == name {
			return hs[i], true
		}
	}
	return Header{}, false
}
