package yamldoc

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
)

// Kind is what sort of value stands in the file.
type Kind int

// The kinds. KindNull is a value left out (`key:`); the word null is a scalar, as fields take its text.
const (
	KindNull Kind = iota
	KindScalar
	KindMapping
	KindSequence
)

// Value is a place in a document: a scalar, a mapping, a sequence, or nothing where something could stand. Aliases are
// resolved: the value behind one looks as if it was written in its place, only its findings say otherwise.
type Value struct {
	doc    *Doc
	node   *yaml.Node
	parent *Value
	// key is the key of this value in the mapping around it, nil at the top and in sequences.
	key   *Scalar
	index int
	alias string
	// merged tells that the value came in by a merge key.
	merged bool
	// entered are the entries of a mapping that is not as the file has it; nil where the node says them.
	entered []Entry
}

// Entry is one key and its value in a mapping.
type Entry struct {
	Key   Scalar
	Value *Value
}

// Kind tells what the value is.
func (v *Value) Kind() Kind {
	switch {
	case v.node.Kind == yaml.MappingNode:
		return KindMapping
	case v.node.Kind == yaml.SequenceNode:
		return KindSequence
	case isEmpty(v.node):
		return KindNull
	}
	return KindScalar
}

// Broken tells that the value has a finding from parsing, so that no other is due.
func (v *Value) Broken() bool { return v.doc.broken[v.node] }

// Partial tells that a mapping has pairs with a finding from parsing, which Entries leaves out.
func (v *Value) Partial() bool {
	for i := 0; v.node.Kind == yaml.MappingNode && i+1 < len(v.node.Content); i += 2 {
		if v.doc.broken[v.node.Content[i]] {
			return true
		}
	}
	return false
}

// Doc is the document the value is in.
func (v *Value) Doc() *Doc { return v.doc }

// Style is how the value is written.
func (v *Value) Style() Style { return nodeStyle(v.node) }

func nodeStyle(n *yaml.Node) Style {
	switch {
	case n.Style&yaml.FlowStyle != 0:
		return StyleFlow
	case n.Style&yaml.SingleQuotedStyle != 0:
		return StyleSingleQuoted
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return StyleDoubleQuoted
	case n.Style&yaml.LiteralStyle != 0:
		return StyleLiteral
	case n.Style&yaml.FoldedStyle != 0:
		return StyleFolded
	}
	return StylePlain
}

// Flow tells whether the value is a mapping or sequence in brackets, or stands in one.
func (v *Value) Flow() bool {
	return v.node.Style&yaml.FlowStyle != 0 || v.parent != nil && v.parent.Flow()
}

// Alias is the name of the alias the value was reached by, "" when it stands where it is used.
func (v *Value) Alias() string { return v.alias }

// Key is the key of the value in the mapping around it; ok is false at the top and in sequences.
func (v *Value) Key() (key Scalar, ok bool) {
	if v.key == nil {
		return Scalar{}, false
	}
	return *v.key, true
}

// Parent is the mapping or sequence around the value, nil at the top.
func (v *Value) Parent() *Value { return v.parent }

// Path names the value for messages: keys joined by dots, list elements as [0]. The top is "".
func (v *Value) Path() string {
	if v.parent == nil {
		return ""
	}
	outer := v.parent.Path()
	switch {
	case v.key == nil:
		return outer + "[" + strconv.Itoa(v.index) + "]"
	case outer == "":
		return v.key.Text
	}
	return outer + "." + v.key.Text
}

// Entries returns the keys and values of a mapping in order; of anything else none. Merge keys are expanded where they
// stand; a key written in the mapping itself wins over one that is merged in, and an earlier merge over a later.
func (v *Value) Entries() []Entry {
	if v.node.Kind != yaml.MappingNode {
		return nil
	}
	if v.entered != nil {
		return slices.Clone(v.entered)
	}
	own := map[string]bool{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if key := v.node.Content[i]; !isMerge(key) {
			own[key.Value] = true
		}
	}
	return v.entries(v.node, v.alias, own, map[string]bool{})
}

// entries lists node's pairs as entries of v. Pairs that have a finding from parsing are left out; merged ones are left
// out when taken has their key.
func (v *Value) entries(node *yaml.Node, alias string, own, taken map[string]bool) []Entry {
	var all []Entry
	merged := node != v.node
	for i := 0; i+1 < len(node.Content); i += 2 {
		keyNode, valueNode := node.Content[i], node.Content[i+1]
		if v.doc.broken[keyNode] {
			continue
		}
		if isMerge(keyNode) {
			for _, source := range mergeSources(valueNode) {
				all = append(all, v.entries(source.node, source.alias, own, taken)...)
			}
			continue
		}
		key := v.doc.scalar(keyNode, alias)
		if merged {
			if own[key.Text] || taken[key.Text] {
				continue
			}
			taken[key.Text] = true
		}
		child := v.child(valueNode, alias)
		child.key, child.merged = &key, merged
		all = append(all, Entry{Key: key, Value: child})
	}
	return all
}

// Merge returns the first merge key of a mapping, for mappings whose order counts and which therefore refuse it.
func (v *Value) Merge() (key Scalar, ok bool) {
	for i := 0; v.node.Kind == yaml.MappingNode && i+1 < len(v.node.Content); i += 2 {
		if isMerge(v.node.Content[i]) {
			return v.doc.scalar(v.node.Content[i], v.alias), true
		}
	}
	return Scalar{}, false
}

// Items returns the elements of a sequence; of anything else none.
func (v *Value) Items() []*Value {
	if v.node.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]*Value, len(v.node.Content))
	for i, n := range v.node.Content {
		items[i] = v.child(n, v.alias)
		items[i].index = i
	}
	return items
}

// Lookup returns the value of a key of a mapping.
func (v *Value) Lookup(key string) (*Value, bool) {
	for _, e := range v.Entries() {
		if e.Key.Text == key {
			return e.Value, true
		}
	}
	return nil, false
}

func (v *Value) child(n *yaml.Node, alias string) *Value {
	if n.Kind == yaml.AliasNode {
		n, alias = n.Alias, n.Value
	}
	return &Value{doc: v.doc, node: n, parent: v, alias: alias}
}

// Scalar returns the text of a scalar as it stands, nothing replaced. Of a null it is empty, placed at the key it belongs to;
// of a mapping or sequence likewise, placed at its start.
func (v *Value) Scalar() Scalar {
	switch v.Kind() {
	case KindScalar:
		return v.doc.scalar(v.node, v.alias)
	case KindNull:
		if v.key != nil {
			s := *v.key
			s.Text, s.offsets = "", []int{}
			return s
		}
	}
	start, end := v.doc.extent(v.node)
	f := v.doc.at(start, end, "", "", "")
	return Scalar{Line: f.Line, Col: f.Col, Width: f.Width, Style: v.Style(), doc: v.doc, start: start, alias: v.alias,
		offsets: []int{}}
}

// Comment is the comment behind a scalar or a null on its line, with its #, or "".
func (v *Value) Comment() string {
	text, _ := v.comment()
	return text
}

// Line is the line of the value's first rune, from 1.
func (v *Value) Line() int { return v.Scalar().Line }

// Col is the column of the value's first rune, from 1.
func (v *Value) Col() int { return v.Scalar().Col }

// Finding adds an error about the whole value to the list.
func (v *Value) Finding(list *diag.List, code diag.Code, message, hint string) {
	s := v.Scalar()
	list.Add(s.Whole(code, message, hint))
}

// scalar makes a Scalar of a scalar node.
func (d *Doc) scalar(n *yaml.Node, alias string) Scalar {
	at := d.spot(n)
	return Scalar{Text: n.Value, Line: at.line, Col: at.col, Width: at.width, Style: nodeStyle(n), doc: d, start: at.start, alias: alias}
}

// spot is where a node stands.
type spot struct{ start, line, col, width int }

// spots remembers them: the same node is asked for in each step of reading a file.
type spots struct {
	mu    sync.Mutex
	known map[*yaml.Node]spot
}

func (d *Doc) spot(n *yaml.Node) spot {
	d.spots.mu.Lock()
	defer d.spots.mu.Unlock()
	at, ok := d.spots.known[n]
	if !ok {
		from, to := d.extent(n)
		f := d.at(from, to, "", "", "")
		at = spot{d.content(n), f.Line, f.Col, f.Width}
		d.spots.known[n] = at
	}
	return at
}

// content returns the offset of a node's own first byte, after an anchor or a tag.
func (d *Doc) content(n *yaml.Node) int {
	pos := d.lines.offset(n.Line, n.Column)
	for pos < len(d.src) && (d.src[pos] == '&' || d.src[pos] == '!') {
		pos = skipSpace(d.src, propertyEnd(d.src, pos))
	}
	return pos
}

// propertyEnd is the end of the anchor or tag at pos: an anchor is a word of letters, digits, _ and -, a tag goes to the next
// blank.
func propertyEnd(src string, pos int) int {
	if src[pos] == '!' {
		return wordEnd(src, pos)
	}
	for pos++; pos < len(src); pos++ {
		c := src[pos]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-') {
			return pos
		}
	}
	return pos
}

// skipSpace passes over blanks, line breaks and comments.
func skipSpace(src string, pos int) int {
	for pos < len(src) {
		switch n := breakLength(src[pos:]); {
		case n > 0:
			pos += n
		case src[pos] == ' ' || src[pos] == '\t':
			pos++
		case src[pos] == '#':
			for pos < len(src) && breakLength(src[pos:]) == 0 {
				pos++
			}
		default:
			return pos
		}
	}
	return pos
}

// extent returns the bytes that stand for a node in a finding: a scalar with its quotes, the first line of text of a block
// scalar, the bracket of a flow collection, the first key of a mapping, the dash of a sequence.
func (d *Doc) extent(n *yaml.Node) (start, end int) {
	start = d.content(n)
	switch {
	case n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && len(n.Content) > 0 && n.Content[0].Kind == yaml.ScalarNode:
		return d.extent(n.Content[0])
	case n.Kind != yaml.ScalarNode:
		return start, start + 1
	}
	style := nodeStyle(n)
	if end, ok := verbatim(d.src, start, style, n.Value); ok {
		return start, max(end, start+1)
	}
	offsets, end, ok := trace(d.src, start, style, n.Value)
	if !ok {
		return start, start + 1
	}
	if style == StyleLiteral || style == StyleFolded {
		return d.blockExtent(start, n.Value, offsets)
	}
	return start, max(end, start+1)
}

// verbatim is the end of a scalar that stands in the file as it reads: in one line, without escapes.
func verbatim(src string, start int, style Style, text string) (end int, ok bool) {
	quote := map[Style]string{StyleSingleQuoted: "'", StyleDoubleQuoted: `"`}[style]
	if style == StyleLiteral || style == StyleFolded || strings.ContainsAny(text, "'\"\\\r\n\u0085\u2028\u2029") {
		return 0, false
	}
	written := quote + text + quote
	return start + len(written), strings.HasPrefix(src[start:], written)
}

func (d *Doc) blockExtent(start int, text string, offsets []int) (int, int) {
	i := 0
	for _, r := range text {
		if r != ' ' && r != '\n' && r != '\t' {
			return offsets[i], d.lines.lineEnd(offsets[i])
		}
		i++
	}
	return start, start + 1
}
