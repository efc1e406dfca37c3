package amqp

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// tableMaker makes the table of a message's headers.
type tableMaker struct {
	skip func(name string) bool
	// untyped: the message comes from where headers are bytes, whatever they mean. What is UTF-8 is text then, unless a hint says else.
	untyped bool
	// text: no header may be anything but text.
	text bool
	// encoded are the parts that had to become base64.
	encoded []string
}

// headerPart is a header's name as base64Header has it.
func headerPart(name string) string { return "meta." + url.PathEscape(name) }

// table makes the table. Of repeated names the values become one JSON array.
func (w *tableMaker) table(hs []flow.Header) (amqp.Table, error) {
	if len(hs) == 0 {
		return nil, nil //nolint:nilnil // no headers, no table
	}
	t := make(amqp.Table, len(hs)+4)
	var several []string
	for _, h := range hs {
		if w.skip(h.Name) || w.untyped && w.spent(hs, h) {
			continue
		}
		if _, ok := t[h.Name]; !ok {
			t[h.Name] = w.field(hs, h)
		} else if !slices.Contains(several, h.Name) {
			several = append(several, h.Name)
		}
	}
	for _, name := range several {
		text, err := w.array(hs, name)
		if err != nil {
			return nil, err
		}
		t[name], t[hintPrefix+name] = text, repeated
	}
	if err := checkField(t, 0); err != nil {
		return nil, err
	}
	return t, nil
}

// spent tells whether a header is a hint that its header is bytes: the type of the field says so.
func (w *tableMaker) spent(hs []flow.Header, h flow.Header) bool {
	name, ok := strings.CutPrefix(h.Name, hintPrefix)
	return ok && h.Text() == value.KindBytes.String() && !w.text && slices.ContainsFunc(hs, func(h flow.Header) bool {
		return h.Name == name && h.Value.Kind() == value.KindBytes
	})
}

// field is a header's value as AMQP writes it: as it came where it came from AMQP.
func (w *tableMaker) field(hs []flow.Header, h flow.Header) any {
	if w.text {
		return strings.Clone(h.Text())
	}
	switch v := h.Native.(type) {
	case int8, uint8, int16, uint16, int32, uint32, float32, amqp.Decimal, amqp.Table, []any, string:
		return v
	}
	if w.untyped && h.Value.Kind() == value.KindBytes {
		b := h.Value.BytesValue()
		switch {
		case b == nil:
			return nil
		case utf8.Valid(b) && !w.hintedBytes(hs, h.Name):
			return string(b)
		}
	}
	return field(h.Value.Box())
}

func (*tableMaker) hintedBytes(hs []flow.Header, name string) bool {
	return slices.ContainsFunc(hs, func(h flow.Header) bool {
		return len(h.Name) == len(hintPrefix)+len(name) && strings.HasPrefix(h.Name, hintPrefix) && h.Name[len(hintPrefix):] == name &&
			h.Text() == value.KindBytes.String()
	})
}

// array is the values of a repeated header as a JSON array. Bytes are text in it; where one of them is not UTF-8, all texts are base64.
func (w *tableMaker) array(hs []flow.Header, name string) (string, error) {
	var all []any
	binary := false
	for _, h := range hs {
		if h.Name != name {
			continue
		}
		x := h.Value.Box()
		if b, ok := x.([]byte); ok {
			x = string(b)
			if b == nil {
				x = nil
			}
			binary = binary || !utf8.Valid(b)
		}
		all = append(all, x)
	}
	if binary {
		for i, x := range all {
			if text, ok := x.(string); ok {
				all[i] = base64.StdEncoding.EncodeToString([]byte(text))
			}
		}
		w.encoded = append(w.encoded, headerPart(name))
	}
	text, err := value.AppendJSON(nil, value.List(all))
	if err != nil {
		return "", flow.Errorf(flow.Permanent, flow.CodeEncode, "the repeated header %.40q cannot be written as JSON: %w", name, err)
	}
	return string(text), nil
}

// markEncoded names the parts that are base64 in the header for that.
func markEncoded(msg *amqp.Publishing, add func(name string, v any), parts ...string) {
	earlier, _ := msg.Headers[base64Header].(string)
	for _, part := range parts {
		switch {
		case earlier == "":
			earlier = part
		case !slices.Contains(strings.Split(earlier, ","), part):
			earlier += "," + part
		}
	}
	if earlier != "" && len(parts) > 0 {
		add(base64Header, earlier)
	}
}
