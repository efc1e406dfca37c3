package pipelines

import (
	"fmt"

	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// sent is the payload of which the codecs of a source make the body that a test says.
func (l *loader) sent(at *yamldoc.Value, source string, body value.Value) ([]byte, error) {
	p := l.byName[source]
	if p == nil || p.chain == nil {
		return value.AppendJSON(nil, body)
	}
	f := p.chain.Format
	if f == nil {
		f = codec.JSON()
	}
	payload, err := f.Append(nil, body)
	if err == nil {
		payload, err = p.chain.Wrap(nil, payload)
	}
	if err != nil {
		at.Finding(l.findings, diag.BadValue, fmt.Sprintf("no payload that the source decodes gives this body: %s", err), "write the payload itself, as text:, hex: or base64:")
	}
	return payload, nil
}

// decoder reads what a sink's encode has written; nil where the sink has none.
func decoder(c *codec.Chain, most int64) func(payload []byte) (value.Value, error) {
	if c == nil {
		return nil
	}
	return func(payload []byte) (value.Value, error) {
		payload, err := c.Unwrap(payload, most)
		if err != nil {
			return value.Value{}, err
		}
		switch {
		case c.Format == nil || c.Format.Kind == document.JSON:
			return value.ParseJSON(payload)
		case c.Format.Kind == document.Coded:
			return c.Format.Coder.Decode(payload)
		default:
			return value.String(string(payload)), nil
		}
	}
}
