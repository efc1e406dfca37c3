package pipelines

import (
	"fmt"
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// encoder makes the encode of a sink; nil writes the body in the format it was read in.
func (l *loader) encoder(c *codec) func(dst []byte, m *flow.Message) ([]byte, bool, error) {
	if c == nil || len(c.names) == 0 {
		return nil
	}
	want := l.format(c)
	return func(dst []byte, m *flow.Message) ([]byte, bool, error) {
		if m.Body.None() || (!m.Body.Written() && m.Payload() == nil) {
			return dst, true, nil
		}
		if m.Body.Format() == want {
			if !m.Body.Written() {
				return append(dst, m.Payload()...), false, nil
			}
			out, err := m.Body.AppendTo(dst)
			return out, false, err
		}
		v, err := m.Body.Get(0)
		if err != nil {
			return dst, false, err
		}
		out, err := encodeAs(want, dst, v)
		return out, false, err
	}
}

func encodeAs(f document.Format, dst []byte, v value.Value) ([]byte, error) {
	switch {
	case f == document.JSON:
		return value.AppendJSON(dst, v)
	case v.Kind() == value.KindString:
		return append(dst, v.Str()...), nil
	case v.Kind() == value.KindBytes:
		return append(dst, v.BytesValue()...), nil
	}
	return dst, flow.Errorf(flow.Permanent, flow.CodeEncode, "the body is %s, and encode: %s takes a string or bytes", v.Kind(), formatName(f))
}

func formatName(f document.Format) string {
	for name, known := range formatNames {
		if known == f {
			return name
		}
	}
	return fmt.Sprint(f)
}

// hash is the codec's part of a component's hash.
func (k *codec) hash() string {
	if k == nil {
		return ""
	}
	names := make([]string, len(k.names))
	for i := range k.names {
		names[i] = k.names[i].Text
	}
	return "|" + strings.Join(names, ",")
}
