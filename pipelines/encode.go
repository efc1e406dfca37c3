package pipelines

import (
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
)

// compileCodecs compiles the decode of every source and the encode of every sink.
func (l *loader) compileCodecs() {
	for _, p := range l.parts {
		if p.codecs == nil {
			continue
		}
		side := config.Decode
		if p.kind == sinkPart {
			side = config.Encode
		}
		b := l.builder(p.codecs.Value(), p.name, document.JSON, nil)
		p.chain = b.Codecs(p.codecs, side)
		l.take(b, true)
		p.codecHash = "|" + l.hash(p.codecs.Value()) + strings.Join(b.Read, "|")
	}
}

// formats says how body reads behind each part: as its sources and the decodes on the way say, where all agree; as JSON otherwise.
func (l *loader) formats(order []int) []document.Format {
	formats := make([]document.Format, len(l.parts))
	for _, n := range order {
		p := l.parts[n]
		if p.kind == sourcePart {
			formats[n], _ = p.format()
			continue
		}
		formats[n] = l.formatBefore(p, formats)
		for _, s := range p.steps {
			formats[n] = s.formatAfter(formats[n])
		}
	}
	return formats
}

// formatBefore is how body reads in what a part gets.
func (l *loader) formatBefore(p *part, formats []document.Format) document.Format {
	f := document.JSON
	for i, r := range p.from {
		before := formats[r.target.number]
		if r.errors && r.target.kind == nodePart {
			before = l.formatBefore(r.target, formats) // as it entered
		}
		if i > 0 && before != f {
			return document.JSON
		}
		f = before
	}
	return f
}

// formatAfter is how body reads behind a step; where a message may pass it by, as JSON, of which nothing is held against it.
func (s *step) formatAfter(before document.Format) document.Format {
	c, ok := s.config.(config.Recoder)
	if !ok {
		return before
	}
	after := c.Format()
	if s.cond.Set && after != before {
		return document.JSON
	}
	return after
}

// format is how the body of a source reads: as JSON, where nothing is said.
func (p *part) format() (document.Format, document.Coder) {
	if p.chain == nil || p.chain.Format == nil {
		return document.JSON, nil
	}
	return p.chain.Format.Kind, p.chain.Format.Coder
}

// admission judges the messages of a source before they enter: it undoes the byte codecs, and holds the body against the schema.
func (l *loader) admission(p *part) func(m *flow.Message) error {
	check := p.schema.check()
	if p.chain == nil || len(p.chain.Layers) == 0 {
		return check
	}
	chain, most := p.chain, l.prog.Limits.MaxMessage
	format, coder := p.format()
	content := &flow.Content{}
	if chain.Format != nil {
		content.Type = chain.Format.Media
	}
	return func(m *flow.Message) error {
		payload, err := chain.Unwrap(m.Raw(), most)
		if err != nil {
			return flow.Errorf(flow.Permanent, flow.CodeDecode, "decode: %w", err)
		}
		m.Reopen(payload, format, coder, content)
		if check == nil {
			return nil
		}
		return check(m)
	}
}

// contentOf says what a sink's encode makes; nil where it does not say.
func contentOf(c *codec.Chain) *flow.Content {
	if c == nil {
		return nil
	}
	content := &flow.Content{Encoding: c.Encoding()}
	switch {
	case len(c.Layers) > 0 && content.Encoding == "":
		content.Type = "application/octet-stream"
	case c.Format != nil:
		content.Type = c.Format.Media
	}
	return content
}

// encoder makes the encode of a sink; nil writes the body in the format it was read in.
func encoder(c *codec.Chain) func(dst []byte, m *flow.Message) ([]byte, bool, error) {
	if c == nil {
		return nil
	}
	return func(dst []byte, m *flow.Message) ([]byte, bool, error) {
		if m.Body.None() || (!m.Body.Written() && m.Payload() == nil) {
			return dst, true, nil
		}
		if len(c.Layers) == 0 {
			out, err := config.AppendBody(dst, m, c.Format)
			return out, false, err
		}
		plain := m.Payload()
		if m.Body.Written() || c.Format != nil {
			var err error
			if plain, err = config.AppendBody(nil, m, c.Format); err != nil {
				return dst, false, err
			}
		}
		out, err := c.Wrap(dst, plain)
		if err != nil {
			return dst, false, flow.Errorf(flow.Permanent, flow.CodeEncode, "encode: %w", err)
		}
		return out, false, nil
	}
}
