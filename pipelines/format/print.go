package format

import (
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/reference"
)

// step is how far a level is indented.
const step = 2

// printer writes the tree that its scanner has been over.
type printer struct {
	*scanner
	types  map[*yaml.Node]*reference.Type
	expand map[*yaml.Node]bool
	out    strings.Builder
	// line is the output line that is being written, indent where it begins.
	line   strings.Builder
	indent int
	// next is the first comment not written yet.
	next int
}

func (p *printer) document(root *yaml.Node) {
	if p.isBlock(root) {
		p.mapping(root, 0, false, -1)
	} else {
		p.before(p.places[root].start, 0)
		p.start(0)
		p.verbatim(root, 0)
	}
	p.before(len(p.src)+1, 0)
}

// isBlock tells whether a collection is written in block style.
func (p *printer) isBlock(n *yaml.Node) bool {
	collection := n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode
	return collection && len(n.Content) > 0 && (n.Style&yaml.FlowStyle == 0 || p.expand[n])
}

func (p *printer) start(indent int) {
	p.line.Reset()
	p.indent = indent
	p.line.WriteString(strings.Repeat(" ", indent))
}

func (p *printer) text(s string) { p.line.WriteString(s) }

// end finishes a line whose last part stood in the given line of the source; a comment from behind it comes along.
func (p *printer) end(line int) {
	if p.next < len(p.comments) {
		if c := p.comments[p.next]; !c.own && c.line == line {
			p.text(c.gap + c.text)
			p.next++
		}
	}
	p.out.WriteString(strings.TrimRight(p.line.String(), " \t") + "\n")
	p.line.Reset()
}

// before writes the comments that stand before an offset, and keeps a blank line before the entry there.
func (p *printer) before(offset, indent int) {
	for p.next < len(p.comments) && p.comments[p.next].offset < offset {
		p.ownLine(p.comments[p.next], indent)
		p.next++
	}
	if offset < len(p.src) {
		p.blankLine(p.lineOf(offset))
	}
}

func (p *printer) ownLine(c comment, indent int) {
	p.blankLine(c.line)
	if c.frame {
		indent = 0
	}
	p.out.WriteString(strings.Repeat(" ", indent) + c.text + "\n")
}

// blankLine keeps one blank line where there was one before the given line of the source.
func (p *printer) blankLine(line int) {
	if line == 0 || p.out.Len() == 0 || strings.TrimSpace(p.src[p.lines[line-1]:p.lines[line]]) != "" ||
		strings.HasSuffix(p.out.String()[max(0, p.out.Len()-2):], "\n\n") {
		return
	}
	p.out.WriteByte('\n')
}

// foot writes the comments behind the last entry of a collection that belong to it by their indentation.
func (p *printer) foot(n *yaml.Node, indent, outer int) {
	at := p.places[n]
	for p.next < len(p.comments) {
		c := p.comments[p.next]
		inside := c.offset < at.end
		behind := c.own && !c.frame && c.after <= at.end && c.column >= at.column && c.column > outer && n.Style&yaml.FlowStyle == 0
		if !inside && !behind {
			return
		}
		p.ownLine(c, indent)
		p.next++
	}
}

// mapping writes a mapping in block style; the first key goes on in the current line when inline. outer is the column of the block
// collection around it in the source.
func (p *printer) mapping(n *yaml.Node, indent int, inline bool, outer int) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !inline || i > 0 {
			p.before(p.first(key, value), indent)
			p.start(indent)
		}
		at := p.places[key]
		if at.anchor != "" {
			p.text(at.anchor + " ")
		}
		p.text(p.src[at.start:at.end] + ":")
		p.value(n, key, value, indent)
	}
	p.foot(n, indent, outer)
}

// first is where the text of an entry begins, with comments between its key and its value moved before it.
func (p *printer) first(key, value *yaml.Node) int {
	if p.isBlock(value) || isNull(value) || p.lineOf(p.places[value].start) == p.lineOf(p.places[key].start) {
		return p.places[key].start
	}
	return p.places[value].start
}

func (p *printer) value(parent, key, value *yaml.Node, indent int) {
	at, keyEnd := p.places[value], p.places[key].end
	if isNull(value) {
		if at.anchor != "" {
			p.text(" " + at.anchor)
		}
		p.end(p.lineOf(keyEnd))
		return
	}
	if p.isBlock(value) {
		if at.anchor != "" {
			p.text(" " + at.anchor)
		}
		p.end(p.lineOf(keyEnd))
		p.collection(value, indent+step, false, p.places[parent].column)
		return
	}
	p.text(p.alignment(parent, key, value))
	p.leaf(value, indent)
}

// alignment is the blanks between a key and its value: as they were, in a block.
func (p *printer) alignment(parent, key, value *yaml.Node) string {
	from, to := p.places[key].end, p.places[value].start
	if parent.Style&yaml.FlowStyle != 0 || p.places[value].anchor != "" {
		return " "
	}
	between := strings.TrimLeft(p.src[from:to], " ")
	if blanks := strings.TrimPrefix(between, ":"); blanks != "" && strings.Trim(blanks, " ") == "" {
		return blanks
	}
	return " "
}

func (p *printer) collection(n *yaml.Node, indent int, inline bool, outer int) {
	if n.Kind == yaml.MappingNode {
		p.mapping(n, indent, inline, outer)
		return
	}
	p.sequence(n, indent, inline, outer)
}

func (p *printer) sequence(n *yaml.Node, indent int, inline bool, outer int) {
	for i, item := range n.Content {
		at := p.places[item]
		if !inline || i > 0 {
			p.before(p.firstLeaf(item), indent)
			p.start(indent)
		}
		p.text("-")
		line := p.lineOf(at.start)
		switch {
		case isNull(item):
			if at.anchor != "" {
				p.text(" " + at.anchor)
			}
			p.end(line)
		case p.isBlock(item) && at.anchor != "":
			p.text(" " + at.anchor)
			p.end(line)
			p.collection(item, indent+step, false, p.places[n].column)
		case p.isBlock(item):
			p.text(" ")
			p.collection(item, indent+step, true, p.places[n].column)
		default:
			p.text(" ")
			p.leaf(item, indent)
		}
	}
	p.foot(n, indent, outer)
}

// firstLeaf is where the first scalar of a node begins; of one in brackets that are written, the bracket.
func (p *printer) firstLeaf(n *yaml.Node) int {
	if p.isBlock(n) && p.places[n].anchor == "" {
		return p.firstLeaf(n.Content[0])
	}
	return p.places[n].start
}

// leaf writes what is not laid out any further: scalars, aliases and flow collections.
func (p *printer) leaf(n *yaml.Node, indent int) {
	at := p.places[n]
	if at.anchor != "" {
		p.text(at.anchor + " ")
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		p.blockText(n, indent)
	case n.Kind == yaml.ScalarNode:
		p.folded(p.src[at.start:at.end], indent+step)
		p.end(p.lineOf(at.end))
	case n.Kind == yaml.AliasNode:
		p.text(p.src[at.start:at.end])
		p.end(p.lineOf(at.end))
	default:
		p.verbatim(n, indent)
	}
}

// folded writes a plain or quoted text that may go over several lines.
func (p *printer) folded(text string, indent int) {
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			p.out.WriteString(strings.TrimRight(p.line.String(), " \t") + "\n")
			p.start(indent)
			line = strings.TrimLeft(line, " \t")
		}
		p.text(line)
	}
}
