package document

import (
	"fmt"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
)

// edit replaces a stretch of the payload.
type edit struct {
	from, to int32
	kind     editKind
	comma    bool // the added members follow others
	node     *node
}

type editKind uint8

const (
	cut     editKind = iota // nothing comes in its place
	assign                  // the value written to the node
	madeMap                 // a map of what was written below the node
	add                     // the members written below the node that the payload lacks
)

// AppendTo appends the payload as it is to be written: as it came when nothing was written to it, else with each written value in its
// place and all other bytes as they came. No payload appends nothing. On an error dst is returned as it was.
func (d *Document) AppendTo(dst []byte) ([]byte, error) {
	if d.changes == 0 {
		return append(dst, d.raw...), nil
	}
	start := len(dst)
	out, err := d.appendChanged(dst)
	if err != nil {
		return out[:start], err
	}
	return out, nil
}

func (d *Document) appendChanged(dst []byte) ([]byte, error) {
	switch root := d.paths.nodes[Root]; {
	case d.phase != whole:
		return d.splice(dst, root)
	case d.slots[Root].change == deleted:
		return dst, nil
	case d.format == Coded:
		return d.appendCoded(dst)
	case d.format != JSON:
		return d.appendPlain(dst)
	default:
		return d.appendAssigned(dst, root)
	}
}

// splice appends the payload's text of n, all of it for the root, with the writes below n.
func (d *Document) splice(dst []byte, n *node) ([]byte, error) {
	d.edits = d.collect(d.edits[:0], n)
	sortEdits(d.edits)
	at, end := d.slots[n.slot].start, d.slots[n.slot].end
	if n.parent == nil {
		at, end = 0, int32(len(d.raw))
	}
	var err error
	for i := range d.edits {
		e := &d.edits[i]
		dst = append(dst, d.raw[at:e.from]...)
		switch e.kind {
		case assign:
			dst, err = d.appendAssigned(dst, e.node)
		case madeMap:
			dst, err = d.appendMade(dst, e.node)
		case add:
			dst, err = d.appendMembers(dst, e.node, e.comma)
		}
		if err != nil {
			return dst, err
		}
		at = e.to
	}
	return append(dst, d.raw[at:end]...), nil
}

// sortEdits sorts by position; there are few, mostly in order already.
func sortEdits(edits []edit) {
	for i := 1; i < len(edits); i++ {
		for k := i; k > 0 && edits[k].from < edits[k-1].from; k-- {
			edits[k], edits[k-1] = edits[k-1], edits[k]
		}
	}
}

// collect gathers the edits below n, which is not written itself.
func (d *Document) collect(edits []edit, n *node) []edit {
	own := &d.slots[n.slot]
	if own.first != '{' && own.first != '[' {
		if d.changedBelow(n) {
			edits = append(edits, edit{from: own.start, to: own.end, kind: madeMap, node: n})
		}
		return edits
	}
	adds, cuts := false, false
	for _, kid := range n.writers {
		at := &d.slots[kid.slot]
		switch {
		case at.first == 0:
			adds = adds || at.change == assigned || (at.change == none && d.changedBelow(kid))
		case at.change == assigned:
			edits = append(edits, edit{from: at.start, to: at.end, kind: assign, node: kid})
			cuts = cuts || at.marks&markRepeated != 0
		case at.change == deleted:
			cuts = true
		case len(kid.writers) > 0:
			edits = d.collect(edits, kid)
		}
	}
	emptied := false
	if cuts {
		edits, emptied = d.collectCuts(edits, n)
	}
	if adds {
		last := syntax.SpaceBack(d.raw, int(own.end)-1)
		comma := !emptied && d.raw[last] != '{'
		edits = append(edits, edit{from: int32(last + 1), to: int32(last + 1), kind: add, comma: comma, node: n})
	}
	return edits
}

// collectCuts gathers what goes from a map or list: deleted members, and the earlier members with the key of a written one. Those at the
// front take the comma behind them along, all others the comma before; emptied says that nothing is left.
func (d *Document) collectCuts(edits []edit, n *node) (_ []edit, emptied bool) {
	first := len(edits)
	for _, kid := range n.writers {
		at := &d.slots[kid.slot]
		if at.first == 0 || at.change == none {
			continue
		}
		if at.change == deleted {
			edits = append(edits, edit{from: at.key, to: at.end})
		}
		if at.marks&markRepeated != 0 {
			for _, r := range d.repeats {
				if r.slot == kid.slot {
					edits = append(edits, edit{from: r.key, to: r.end})
				}
			}
		}
	}
	cuts := edits[first:]
	sortEdits(cuts)
	front := int32(-1) // where the run of cuts at the front has come to
	for i := range cuts {
		c := &cuts[i]
		before := syntax.SpaceBack(d.raw, int(c.from))
		if d.raw[before] == ',' && c.from != front {
			c.from = int32(before)
			continue
		}
		if behind := syntax.Space(d.raw, int(c.to)); d.raw[behind] == ',' {
			c.to = int32(syntax.Space(d.raw, behind+1))
			front = c.to
		} else {
			emptied = true
		}
	}
	return edits, emptied
}

func (d *Document) appendAssigned(dst []byte, n *node) ([]byte, error) {
	c := &d.cold[n.slot]
	if c.text != nil {
		return append(dst, c.text...), nil
	}
	dst, err := value.AppendJSON(dst, c.value)
	if err != nil {
		return dst, fmt.Errorf("write %s: %w", n.path, err)
	}
	return dst, nil
}

// appendMade appends a map of what was written below n.
func (d *Document) appendMade(dst []byte, n *node) ([]byte, error) {
	dst, err := d.appendMembers(append(dst, '{'), n, false)
	return append(dst, '}'), err
}

// appendMembers appends the members written below n that the payload lacks.
func (d *Document) appendMembers(dst []byte, n *node, comma bool) (_ []byte, err error) {
	for _, kid := range n.writers {
		at := &d.slots[kid.slot]
		if at.first != 0 || at.change == deleted || (at.change == none && !d.changedBelow(kid)) {
			continue
		}
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = append(dst, kid.key...)
		if at.change == assigned {
			dst, err = d.appendAssigned(dst, kid)
		} else {
			dst, err = d.appendMade(dst, kid)
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}
