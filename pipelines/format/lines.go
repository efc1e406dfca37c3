package format

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// blockText writes a block scalar with its lines moved.
func (p *printer) blockText(n *yaml.Node, indent int) {
	at := p.places[n]
	header, lines, _ := strings.Cut(p.src[at.start:at.end], "\n")
	p.text(header)
	p.out.WriteString(strings.TrimRight(p.line.String(), " \t") + "\n")
	p.line.Reset()
	if at.end <= at.start+len(header) {
		return
	}
	from := p.contentOf(n, header, lines)
	to := indent + step
	if digit := indicator(header); digit > 0 {
		to = indent + digit
	}
	for line := range strings.SplitSeq(lines, "\n") {
		if len(line) > from {
			p.out.WriteString(strings.Repeat(" ", to) + line[from:])
		}
		p.out.WriteByte('\n')
	}
}

// contentOf is the column at which the lines of a block scalar begin in the source.
func (p *printer) contentOf(n *yaml.Node, header, lines string) int {
	return contentColumn(lines, header, p.around[n])
}

// verbatim writes a collection in brackets as it is; further lines move with the first.
func (p *printer) verbatim(n *yaml.Node, indent int) {
	at := p.places[n]
	first := p.src[p.lines[p.lineOf(at.start)]:at.start]
	shift := p.indent - leading(first)
	for i, line := range strings.Split(p.src[at.start:at.end], "\n") {
		if i > 0 {
			p.out.WriteString(strings.TrimRight(p.line.String(), " \t") + "\n")
			text := strings.TrimLeft(line, " \t")
			if text == "" {
				p.start(0)
				continue
			}
			p.start(max(leading(line)+shift, indent))
			line = text
		}
		p.text(line)
	}
	for p.next < len(p.comments) && p.comments[p.next].offset < at.end {
		p.next++ // it has been written with the rest
	}
	p.end(p.lineOf(at.end))
}
