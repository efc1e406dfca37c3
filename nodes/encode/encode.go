// Package encode is the verb encode: it makes a text or bytes of a body.
package encode

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
)

// Type is the verb encode.
func Type() config.NodeType {
	return config.NodeType{
		Name: "encode",
		Doc:  "Makes a text or bytes of the body, as a codec, or a list of codecs, says.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Encode is a codec, or a list of them from the innermost on: [json, gzip, base64]. Behind it body is text, where the last of them writes
	// text, or bytes, and the sinks write that. Without a format in the list the body is written in its own. What a format cannot say fails
	// the message with the class permanent and the code encode.
	Encode config.Codecs `yaml:"encode" required:"true"`
}

// Format implements config.Recoder.
func (c *Config) Format() document.Format {
	if c.Encode.IsText() {
		return document.Text
	}
	return document.Bytes
}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	chain := b.Codecs(&c.Encode, config.Encode)
	if chain == nil {
		return config.Node{}
	}
	content := &flow.Content{Encoding: chain.Encoding()}
	if chain.Format != nil && (len(chain.Layers) == 0 || content.Encoding != "") {
		content.Type = chain.Format.Media
	}
	return config.Node{Processor: &processor{chain: chain, format: c.Format(), content: content}}
}

type processor struct {
	chain   *codec.Chain
	format  document.Format
	content *flow.Content
}

// Process implements flow.Processor.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	payload, err := p.payload(m)
	if err != nil {
		return err
	}
	out := e.Copy(m)
	out.Reopen(payload, p.format, nil, p.content)
	e.Emit(0, out)
	return nil
}

// payload is the encoded body; nil where there is none.
func (p *processor) payload(m *flow.Message) ([]byte, error) {
	if m.Body.None() {
		return nil, nil
	}
	payload, err := config.AppendBody(nil, m, p.chain.Format)
	if err != nil {
		return nil, flow.AsError(err, flow.Permanent, flow.CodeEncode)
	}
	if payload, err = p.chain.Wrap(nil, payload); err != nil {
		return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "encode: %w", err)
	}
	return payload, nil
}
