package pipelines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// under makes coders of header lines, where the codec of a source takes the first line of a file for one.
func (p *part) under() func(header []byte) document.Coder {
	if p.chain == nil || p.chain.Format == nil || len(p.chain.Layers) > 0 || !p.chain.Format.Headed() {
		return nil
	}
	return p.chain.Format.Under
}

// ifLines is under where payloads are lines.
func ifLines(lines bool, under func(header []byte) document.Coder) func(header []byte) document.Coder {
	if !lines {
		return nil
	}
	return under
}

// fromLines holds what a source decodes against lines: they are text.
func (l *loader) fromLines(p *part) {
	c := p.chain
	if c == nil {
		return
	}
	if name := notText(c); name != "" {
		l.noLine(p, name, "and this source reads lines of text", p.source, "let whoever writes the lines put base64 around it, and decode that first")
		return
	}
	if c.Format == nil || len(c.Layers) > 0 && c.Format.Headed() {
		l.wrappedHeader(p)
		return
	}
	if lined, _, err := c.Format.Lined(); err == nil && len(c.Layers) == 0 && !c.Format.Headed() {
		p.chain = &codec.Chain{Format: lined}
	}
}

// wrappedHeader finds a header line that cannot be read, since what wraps each line would wrap it too.
func (l *loader) wrappedHeader(p *part) {
	if f := p.chain.Format; f != nil {
		l.findings.Add(p.codecs.At(f.Name).Whole(diag.ConflictingKey, fmt.Sprintf("the first line is the header, and lines are %s here", p.chain.Layers[0].Name),
			"name the columns, as in header: [id, amount]"))
	}
}

// toLines prepares what a sink encodes for lines. It gives the line that is to stand above them.
func (l *loader) toLines(p *part) (head []byte, why error) {
	if p.chain == nil || p.chain.Format == nil || len(p.chain.Layers) > 0 {
		return nil, nil
	}
	lined, head, err := p.chain.Format.Lined()
	if err != nil {
		return nil, err
	}
	p.lined = &codec.Chain{Format: lined}
	return head, nil
}

// ontoLines holds what a sink encodes against lines, and has it written so. why is what toLines said.
func (l *loader) ontoLines(p *part, why error) {
	if p.chain == nil {
		return
	}
	name := notText(p.chain)
	if f := p.chain.Format; name == "" && f != nil && f.Name == "yaml" && len(p.chain.Layers) == 0 {
		name = f.Name
	}
	switch {
	case name == "yaml":
		l.noLine(p, name, "which has several lines, and this sink writes a line per message", p.sink, "write encode: json, or add base64 behind it")
	case name != "":
		l.noLine(p, name, "and this sink writes lines of text", p.sink, "add base64 behind it")
	case errors.Is(why, codec.ErrNoColumns):
		l.findings.Add(p.codecs.At("csv").Whole(diag.ConflictingKey, "csv begins with a header line, and nothing says which columns it has",
			"write columns: [id, amount] for a header at the beginning of each file, or header: [id, amount] for rows without one"))
	case why != nil:
		l.findings.Add(p.codecs.At("csv").Whole(diag.BadCodec, "csv: "+why.Error(), ""))
	case p.lined != nil:
		p.chain = p.lined
	}
}

// notText is the codec that makes bytes of a payload which may hold a newline anywhere; empty when there is none. What says bytes says
// nothing of them.
func notText(c *codec.Chain) string {
	switch {
	case len(c.Layers) > 0 && c.Layers[0].Name != "base64":
		return c.Layers[0].Name
	case len(c.Layers) == 0 && c.Format != nil && !c.Format.Text && c.Format.Kind != document.Bytes:
		return c.Format.Name
	}
	return ""
}

func (l *loader) noLine(p *part, name, why string, settings any, hint string) {
	what := name + " makes bytes, "
	if name == "yaml" {
		what = "yaml makes text "
	}
	if slices.Contains(yamldoc.KnownKeys(settings), "framing") {
		hint += ", or write framing: whole"
	}
	l.findings.Add(p.codecs.At(name).Whole(diag.ConflictingKey, what+why, hint))
}

// lineEncoder makes the encode of a sink that writes lines: JSON that stands on several is put on one.
func lineEncoder(c *codec.Chain) encode {
	plain := encoder(c)
	if c == nil || c.Format == nil || c.Format.Kind != document.JSON || len(c.Layers) > 0 {
		return plain
	}
	return onOneLine(plain)
}

type encode = func(dst []byte, m *flow.Message) (payload []byte, none bool, err error)

// onOneLine takes the line ends out of JSON; they only ever stand between its values.
func onOneLine(plain encode) encode {
	return func(dst []byte, m *flow.Message) ([]byte, bool, error) {
		start := len(dst)
		out, none, err := plain(dst, m)
		if err != nil || none || bytes.IndexByte(out[start:], '\n') < 0 {
			return out, none, err
		}
		var line bytes.Buffer
		if err := json.Compact(&line, out[start:]); err != nil {
			return dst, false, flow.Errorf(flow.Permanent, flow.CodeDecode, "the payload has several lines and is no JSON that fits on one: %w", err)
		}
		return append(out[:start], line.Bytes()...), false, nil
	}
}
