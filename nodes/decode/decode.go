// Package decode is the verb decode: it reads a body that is text or bytes as something else.
package decode

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
)

// Type is the verb decode.
func Type() config.NodeType {
	return config.NodeType{
		Name: "decode",
		Doc:  "Reads a body that is text or bytes as what a codec, or a list of codecs, makes of it.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Decode is a codec, or a list of them from the outermost on: [base64, gzip, json]. The body must be text or bytes; it becomes the payload
	// that the codecs read, and the sinks write it in their format unless they say encode. Without a format in the list body reads as JSON.
	// What the codecs do not expect fails the message with the class permanent and the code decode.
	Decode config.Codecs `yaml:"decode" required:"true"`
}

// Format implements config.Recoder.
func (c *Config) Format() document.Format { return c.Decode.Kind() }

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	chain := b.Codecs(&c.Decode, config.Decode)
	if chain == nil {
		return config.Node{}
	}
	format := chain.Format
	if format == nil {
		format = codec.JSON()
	}
	p := &processor{chain: chain, format: format, content: &flow.Content{Type: format.Media}, most: b.MaxMessage}
	return config.Node{Processor: p, Body: config.ShapeOf(format)}
}

type processor struct {
	chain   *codec.Chain
	format  *codec.Format
	content *flow.Content
	most    int64
}

// Process implements flow.Processor.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	payload, err := bytesOf(m)
	if err != nil {
		return err
	}
	if payload, err = p.chain.Unwrap(payload, p.most); err != nil {
		return flow.Errorf(flow.Permanent, flow.CodeDecode, "decode: %w", err)
	}
	out := e.Copy(m)
	out.Reopen(payload, p.format.Kind, p.format.Coder, p.content)
	if err := out.Body.Open(); err != nil {
		e.Recycle(out)
		return flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
	}
	e.Emit(0, out)
	return nil
}

// bytesOf is the body as a payload; nil where there is none.
func bytesOf(m *flow.Message) ([]byte, error) {
	v, err := m.Body.Get(document.Root)
	if err != nil {
		return nil, flow.Errorf(flow.Permanent, flow.CodeDecode, "%w; decode takes text or bytes: the source says decode: bytes where payloads are no JSON", err)
	}
	switch v.Kind() {
	case value.KindNil:
		return nil, nil
	case value.KindString:
		return []byte(v.Str()), nil
	case value.KindBytes:
		return v.BytesValue(), nil
	default:
		return nil, flow.Errorf(flow.Permanent, flow.CodeDecode,
			"the body is %s, and decode takes text or bytes: assign the part that is meant to body before it", v.Kind())
	}
}
