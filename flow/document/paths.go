package document

import (
	"strconv"
	"strings"

	"github.com/millstream/millstream/flow/value"
)

// Segment is one step of a path: the name of a map's member, or the index of a list's element. A negative index counts from the end.
type Segment struct {
	Name    string
	Index   int
	IsIndex bool
}

// Slot stands for one path of a Paths. Slot 0 is the root, `body`.
type Slot int32

// Root is the slot of the whole body.
const Root Slot = 0

// traits are what Freeze finds out about a path.
type traits uint8

const (
	written   traits = 1 << iota // the path itself may be assigned or deleted
	under                        // a path above it, other than the root, may be
	over                         // a path below it may be
	uncertain                    // it goes through a negative index: its place is not known from the scan
)

// node is one path of the trie.
type node struct {
	segment Segment
	slot    Slot
	parent  *node
	path    string
	key     []byte // the member's key in JSON with its colon; nil for an element
	traits  traits

	kids    []*node // all paths one step below
	writes  bool    // it is among its parent's writers
	writers []*node // those of them that are written, or have a written path below, in the order of declaration
}

// Paths are the body paths that a compiled pipeline reads and writes. Declare them all, freeze, then share among any number of
// documents: a frozen Paths does not change.
type Paths struct {
	nodes  []*node
	known  map[edge]*node
	traits []traits // by slot; what the hot path looks at
}

// edge is the way from a path to one below it.
type edge struct {
	from    *node
	segment Segment
}

// NewPaths holds the root only.
func NewPaths() *Paths {
	p := &Paths{known: map[edge]*node{}}
	p.nodes = []*node{{path: "body", traits: written}}
	return p
}

// Read declares that a path is read. The same path gives the same slot, and no segments give Root.
func (p *Paths) Read(segments ...Segment) Slot {
	n := p.nodes[Root]
	for _, s := range segments {
		n = p.below(n, s)
	}
	return n.slot
}

// Write declares that a path is assigned or deleted; it may be read as well. The order of these calls is the order in which members
// that a payload lacks are added to it. The root may always be written.
func (p *Paths) Write(segments ...Segment) Slot {
	n := p.nodes[p.Read(segments...)]
	p.write(n)
	return n.slot
}

func (p *Paths) write(n *node) {
	n.traits |= written
	for up := n; up.parent != nil; up = up.parent {
		if !up.writes {
			up.writes, up.parent.writers = true, append(up.parent.writers, up)
		}
		if up.segment.IsIndex && up.parent.parent != nil && up.parent.traits&written == 0 {
			p.write(up.parent) // removing an element rewrites its list
		}
	}
}

func (p *Paths) below(n *node, s Segment) *node {
	if kid, ok := p.known[edge{n, s}]; ok {
		return kid
	}
	kid := &node{segment: s, slot: Slot(len(p.nodes)), parent: n, path: n.path + s.text()}
	if !s.IsIndex {
		kid.key = append(value.AppendJSONString(nil, s.Name), ':')
	}
	n.kids = append(n.kids, kid)
	p.nodes = append(p.nodes, kid)
	p.known[edge{n, s}] = kid
	return kid
}

// text is the segment as an expression writes it.
func (s Segment) text() string {
	if s.IsIndex {
		return "[" + strconv.Itoa(s.Index) + "]"
	}
	if isIdentifier(s.Name) {
		return "." + s.Name
	}
	return "[" + string(value.AppendJSONString(nil, s.Name)) + "]"
}

func isIdentifier(name string) bool {
	for i, c := range name {
		letter := c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// String is a slot's path as an expression writes it, such as body.a["b c"].d[0].
func (p *Paths) String(s Slot) string { return p.nodes[s].path }

// Len is the number of slots.
func (p *Paths) Len() int { return len(p.nodes) }

// Freeze ends the declarations. No path is declared after it, and no document uses the paths before it.
func (p *Paths) Freeze() {
	p.traits = make([]traits, len(p.nodes))
	for _, n := range p.nodes { // parents come before their kids
		if up := n.parent; up != nil {
			n.traits |= up.traits & (under | uncertain)
			if up.parent != nil && up.traits&written != 0 {
				n.traits |= under
			}
			if n.segment.IsIndex && n.segment.Index < 0 {
				n.traits |= uncertain
			}
		}
		if len(n.writers) > 0 {
			n.traits |= over
		}
		p.traits[n.slot] = n.traits
	}
}

// suffix is what stands in n's path behind the path of n's ancestor up.
func suffix(n, up *node) string { return strings.TrimPrefix(n.path, up.path) }
