package format

import (
	"fmt"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"
)

// scanner finds where in the text the nodes of its tree begin and end, and the comments between them.
type scanner struct {
	src   string
	lines []int // offsets of the lines' first bytes
	pos   int   // everything before is known
	// leafEnd is where the last scalar, alias or bracket ended.
	leafEnd int
	places  map[*yaml.Node]place
	// around is the column of the block collection around a block scalar.
	around   map[*yaml.Node]int
	comments []comment
	err      error
}

// place is where a node stands.
type place struct {
	// start is the first byte of the content, end the one after the last; of a block collection, those of its first and last leaf.
	start, end int
	// anchor is "&name" when the node has one.
	anchor string
	// column of a block mapping is that of its keys, of a block sequence that of its dashes.
	column int
}

// comment is a comment, or a line of the document's frame (---).
type comment struct {
	offset, line, column int
	text                 string
	// gap is the blanks before a comment behind something.
	gap string
	// own: the comment has its line for itself.
	own bool
	// frame: it must begin at the line's start.
	frame bool
	// after is the end of the leaf before it.
	after int
}

func newScanner(src string) *scanner {
	s := &scanner{src: src, places: map[*yaml.Node]place{}, around: map[*yaml.Node]int{}, lines: []int{0}}
	for i := range len(src) {
		if src[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// offset is the byte at a line and a column, counted in runes from 1.
func (s *scanner) offset(line, column int) int {
	if line < 1 || line > len(s.lines) {
		return len(s.src)
	}
	at := s.lines[line-1]
	for ; column > 1 && at < len(s.src) && s.src[at] != '\n'; column-- {
		at++
		for at < len(s.src) && s.src[at]&0xc0 == 0x80 {
			at++
		}
	}
	return at
}

// lineOf is the line that a byte is in, from 0.
func (s *scanner) lineOf(offset int) int {
	return sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > offset }) - 1
}

func (s *scanner) columnOf(offset int) int { return offset - s.lines[s.lineOf(offset)] }

func (s *scanner) document(root *yaml.Node) error {
	if strings.HasPrefix(s.src, "%") {
		s.fail("directives")
	}
	s.node(root, -1)
	s.gap(len(s.src), true)
	return s.err
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: it has %s", ErrUnsupported, what)
	}
}

func (s *scanner) allComments() string {
	all := make([]string, len(s.comments))
	for i, c := range s.comments {
		all[i] = c.text
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

// gap passes over what stands between nodes, up to an offset, and notes the comments in it.
func (s *scanner) gap(to int, block bool) {
	for s.pos < to {
		lineStart := s.pos == 0 || s.src[s.pos-1] == '\n'
		switch c := s.src[s.pos]; {
		case c == '#' && (lineStart || s.src[s.pos-1] == ' ' || s.src[s.pos-1] == '\t'):
			s.comment(false)
			continue
		case lineStart && (strings.HasPrefix(s.src[s.pos:], "---") || strings.HasPrefix(s.src[s.pos:], "...")):
			s.frame()
			continue
		case c == '?' && block:
			s.fail("an explicit key (? …)")
		case c == '-':
			s.leafEnd = s.pos + 1
		}
		s.pos++
	}
}

// frame keeps a line --- or ... that stands alone; before something it is left out.
func (s *scanner) frame() {
	rest := s.src[s.pos+3 : s.lineEnd(s.pos)]
	if text := strings.TrimSpace(rest); text == "" || text[0] == '#' {
		s.comment(true)
		return
	}
	s.pos += 3
}

func (s *scanner) lineEnd(at int) int {
	if i := strings.IndexByte(s.src[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(s.src)
}

func (s *scanner) comment(frame bool) {
	end := s.lineEnd(s.pos)
	line := s.lineOf(s.pos)
	before := s.src[s.lines[line]:s.pos]
	content := strings.TrimRight(before, " \t")
	c := comment{
		offset: s.pos, line: line, column: len(before), text: strings.TrimRight(s.src[s.pos:end], " \t"), own: content == "",
		gap: before[len(content):], frame: frame, after: s.leafEnd,
	}
	if c.gap == "" || strings.Contains(c.gap, "\t") {
		c.gap = " "
	}
	s.comments = append(s.comments, c)
	s.pos = end
}

// node finds a node and all in it. indent is the column of the block collection around it.
func (s *scanner) node(n *yaml.Node, indent int) {
	if s.err != nil {
		return
	}
	p := place{start: s.pos, end: s.pos}
	if !isNull(n) || n.Anchor != "" {
		s.gap(s.offset(n.Line, n.Column), true)
		p.anchor = s.anchor(n)
		p.start = s.pos
	}
	switch {
	case isNull(n):
		p.start, p.end = s.leafEnd, s.leafEnd
		if p.anchor != "" {
			s.leafEnd = s.pos
		}
	case n.Kind == yaml.AliasNode:
		s.pos += 1 + len(n.Value)
		s.leafEnd = s.pos
	case n.Kind == yaml.ScalarNode:
		s.around[n] = indent
		s.scalar(n, indent)
		s.leafEnd = s.pos
	case n.Style&yaml.FlowStyle != 0:
		s.flow(n, indent)
	case n.Kind == yaml.MappingNode:
		p.column = s.mapping(n)
		p.start = s.places[n.Content[0]].start
	default:
		p.column = s.sequence(n)
	}
	if !isNull(n) {
		p.end = s.leafEnd
	}
	s.places[n] = p
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 }

// anchor passes over &name and what is blank behind it.
func (s *scanner) anchor(n *yaml.Node) string {
	if n.Anchor == "" {
		return ""
	}
	if s.pos >= len(s.src) || s.src[s.pos] != '&' {
		s.fail("an anchor in an odd place")
		return ""
	}
	s.pos += 1 + len(n.Anchor)
	s.leafEnd = s.pos
	if isNull(n) {
		return "&" + n.Anchor
	}
	if n.Style&yaml.FlowStyle == 0 && n.Kind == yaml.MappingNode {
		first := n.Content[0] // may have an anchor of its own
		s.gap(s.offset(first.Line, first.Column), true)
		return "&" + n.Anchor
	}
	for s.pos < len(s.src) && strings.IndexByte(" \t\n#", s.src[s.pos]) >= 0 {
		s.gap(s.pos+1, true)
	}
	return "&" + n.Anchor
}

func (s *scanner) mapping(n *yaml.Node) int {
	column := s.columnOf(s.offset(n.Content[0].Line, n.Content[0].Column))
	for i := range n.Content {
		s.node(n.Content[i], column)
	}
	return column
}

func (s *scanner) sequence(n *yaml.Node) int {
	column := -1
	for _, item := range n.Content {
		if column < 0 {
			// The first dash is the first thing in the sequence that is no blank and no comment.
			for s.pos < len(s.src) && s.src[s.pos] != '-' {
				s.gap(s.pos+1, true)
			}
			column = s.columnOf(s.pos)
			s.pos++
			s.leafEnd = s.pos
		}
		s.node(item, column)
	}
	return column
}

// flow passes over a collection in brackets. A pair in a list, [a: b], is a mapping without any.
func (s *scanner) flow(n *yaml.Node, indent int) {
	bracketed := s.src[s.pos] == '{' || s.src[s.pos] == '['
	if bracketed {
		s.pos++
		s.leafEnd = s.pos
	}
	for _, child := range n.Content {
		s.node(child, indent)
	}
	if !bracketed {
		return
	}
	for s.pos < len(s.src) && s.src[s.pos] != '}' && s.src[s.pos] != ']' {
		s.gap(s.pos+1, true)
	}
	s.pos = min(s.pos+1, len(s.src))
	s.leafEnd = s.pos
}
