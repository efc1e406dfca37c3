package amqp

import (
	"strings"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// Headers that carry what AMQP has no place for.
const (
	keyHeader       = "millstream-key"
	tombstoneHeader = "millstream-tombstone"
	userHeader      = "millstream-user-id"
	replyHeader     = "millstream-reply-to"
	millisHeader    = "timestamp_in_ms"
	countHeader     = "x-delivery-count"
	// base64Header names the parts that are base64: key, correlation_id, meta.NAME.
	base64Header    = "millstream-b64"
	keyPart         = "key"
	correlationPart = "correlation_id"
	// hintPrefix and a header's name are a header that says what the header was before it had to become something else: repeated, which
	// are the values of several headers of one name, and bytes, which tells that they are no text although they could be.
	hintPrefix = "millstream-ht-"
	repeated   = "repeated"
)

// headerOf keeps a value as it came in Native where Value loses something of it.
func headerOf(name string, v any) flow.Header {
	h := flow.Header{Name: name}
	switch v := v.(type) {
	case nil:
	case bool:
		h.Value = value.Bool(v)
	case string:
		h.Value = textOf(v)
		if !utf8.ValidString(v) {
			h.Native = v
		}
	case []byte:
		h.Value = value.Bytes(v)
	case int64:
		h.Value = value.Int(v)
	case float64:
		h.Value = value.Float(v)
	case time.Time:
		h.Value = value.Time(v.UTC())
	default:
		h.Value, h.Native = value.Unbox(plain(v)), v
	}
	return h
}

// textOf is a string, or bytes where it is not UTF-8.
func textOf(s string) value.Value {
	if utf8.ValidString(s) {
		return value.String(s)
	}
	return value.Bytes([]byte(s))
}

// plain makes the values that expressions see of a table's: the types of value.Value.Box.
func plain(v any) any {
	switch v := v.(type) {
	case int8:
		return int(v)
	case uint8:
		return int(v)
	case int16:
		return int(v)
	case uint16:
		return int(v)
	case int32:
		return int(v)
	case uint32:
		return int(v)
	case int64:
		return int(v)
	case float32:
		return float64(v)
	case string:
		return textOf(v).Box()
	case time.Time:
		return v.UTC()
	case amqp.Decimal:
		return decimal(v)
	case amqp.Table:
		m := make(map[string]any, len(v))
		for name, e := range v {
			m[name] = plain(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	}
	return v
}

func decimal(d amqp.Decimal) float64 {
	f := float64(d.Value)
	for range d.Scale {
		f /= 10
	}
	return f
}

// maxDepth bounds how deep tables may be nested.
const maxDepth = 64

// checkField makes sure that the library and the broker take a value: an unsupported type or a long name would end the connection.
func checkField(v any, depth int) error {
	if depth > maxDepth {
		return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "headers are nested more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case nil, bool, uint8, int8, int16, uint16, int32, uint32, int64, float32, float64, string, []byte, amqp.Decimal, time.Time:
	case amqp.Table:
		for name, e := range v {
			if len(name) > maxShort {
				return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the header name %.40q… has %d bytes, the most is %d", name, len(name), maxShort)
			}
			if err := checkField(e, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range v {
			if err := checkField(e, depth+1); err != nil {
				return err
			}
		}
	default:
		return flow.Errorf(flow.Permanent, flow.CodeEncode, "a header of type %T has no form in AMQP", v)
	}
	return nil
}

// field is a plain value as AMQP writes it, in memory of its own: the message's may be used again before it is published. The library would
// write an int with 32 bits.
func field(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Clone(v)
	case []byte:
		return append([]byte{}, v...)
	case int:
		return int64(v)
	case map[string]any:
		t := make(amqp.Table, len(v))
		for name, e := range v {
			t[name] = field(e)
		}
		return t
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = field(e)
		}
		return l
	case time.Duration:
		return v.String()
	}
	return v
}

// keyField is a key as a header.
func keyField(key []byte) any {
	if utf8.Valid(key) {
		return string(key)
	}
	return append([]byte{}, key...)
}

// tableSize is how many bytes a table takes in a frame, about and never less.
func tableSize(t amqp.Table) int {
	n := 4
	for name, v := range t {
		n += 1 + len(name) + fieldSize(v)
	}
	return n
}

func fieldSize(v any) int {
	switch v := v.(type) {
	case string:
		return 5 + len(v)
	case []byte:
		return 5 + len(v)
	case amqp.Table:
		return 1 + tableSize(v)
	case []any:
		n := 5
		for _, e := range v {
			n += fieldSize(e)
		}
		return n
	}
	return 10
}

// routed tells whether a header would make the broker route copies (RabbitMQ's sender-selected distribution; it looks for these very
// names) or speaks about one queue alone.
func routed(name string) bool {
	return strings.EqualFold(name, "CC") || strings.EqualFold(name, "BCC") || name == countHeader || name == keyHeader || name == tombstoneHeader
}
