package kafka

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// fillHeaders makes headers of what was fetched. A header that is followed by a hint of its type, as our sink writes them, becomes a
// value of that type again and the hint goes: a sink of Kafka writes both as they were. What would not be the same then stays as it is.
func fillHeaders(to []flow.Header, from []kgo.RecordHeader) []flow.Header {
	for i := 0; i < len(from); i++ {
		h := from[i]
		if i+1 < len(from) {
			if name, ok := strings.CutPrefix(from[i+1].Key, hintPrefix); ok && name == h.Key {
				if v, ok := typed(h.Value, string(from[i+1].Value)); ok {
					to = append(to, flow.Header{Name: h.Key, Value: v})
					i++
					continue
				}
			}
		}
		to = append(to, flow.Header{Name: h.Key, Value: value.Bytes(h.Value)})
	}
	return to
}

// typed reads the text of a header as its hint says. ok is false unless writing the value gives the very text and hint again.
func typed(text []byte, hint string) (v value.Value, ok bool) {
	s := string(text)
	kind, leaves, _ := strings.Cut(hint, " ")
	var err error
	switch kind {
	case value.KindNil.String():
		return value.Value{}, text == nil && leaves == ""
	case value.KindBool.String():
		var b bool
		b, err = strconv.ParseBool(s)
		v = value.Bool(b)
	case value.KindInt.String():
		var n int64
		n, err = strconv.ParseInt(s, 10, 64)
		v = value.Int(n)
	case value.KindFloat.String():
		var f float64
		f, err = strconv.ParseFloat(s, 64)
		v = value.Float(f)
	case value.KindTime.String():
		var t time.Time
		t, err = time.Parse(time.RFC3339Nano, s)
		v = value.Time(t.UTC())
	case value.KindList.String(), value.KindMap.String():
		v, err = parseTree(text, leaves)
	default:
		return value.Value{}, false
	}
	if err != nil {
		return value.Value{}, false
	}
	if again, its, err := hinted(v); err != nil || again != s || its != hint {
		return value.Value{}, false
	}
	return v, true
}
