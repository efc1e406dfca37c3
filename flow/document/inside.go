package document

import (
	"maps"
	"slices"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
)

// Writes into a value that has no place of its own in the payload: into one that was assigned, or a list that is about to lose an
// element. The value is copied on the way down, never changed; where its text is known, the text is edited alike, so that what nobody wrote
// keeps its bytes.

func (d *Document) assignInside(base, n *node, v value.Value, text []byte) error {
	old := d.valueOf(base)
	changed, err := with(old.Box(), base, chain(base, n), v.Box())
	if err != nil {
		return err
	}
	d.replace(base, changed, old, n, func(e *Document, s Slot) error { return e.assign(s, v, text, false) })
	return nil
}

func (d *Document) removeInside(base, n *node) error {
	old := d.valueOf(base)
	changed, found, err := without(old.Box(), base, chain(base, n))
	if err != nil || !found {
		return err
	}
	d.replace(base, changed, old, n, func(e *Document, s Slot) error { return e.Delete(s) })
	return nil
}

// replace assigns to base its changed value, and the text that the same edit makes of base's text. An edit that JSON cannot say
// leaves the value without a text: writing it out is then an error, unless a later write mends it.
func (d *Document) replace(base *node, changed any, old value.Value, n *node, edit func(*Document, Slot) error) {
	text := d.textOf(base)
	if text != nil {
		text = edited(text, resolve(old.Box(), chain(base, n)), edit)
	}
	d.clearBelow(base)
	d.put(base.slot, assigned, value.Unbox(changed), text, false)
}

// edited is a JSON text after one edit.
func edited(text []byte, segments []Segment, edit func(*Document, Slot) error) []byte {
	p := NewPaths()
	s := p.Write(segments...)
	p.Freeze()
	e := Document{element: true}
	e.Reset(p, text, JSON)
	if edit(&e, s) != nil {
		return nil
	}
	out, err := e.AppendTo(nil)
	if err != nil {
		return nil
	}
	return out
}

// textOf is the JSON of what n holds now, as far as the payload's bytes or a copy of them make it; else nil.
func (d *Document) textOf(n *node) []byte {
	if d.phase == whole && d.format != JSON && d.slots[Root].change == none {
		return nil
	}
	if base := d.base(n); base != nil && base != n {
		return extract(d.textOf(base), resolve(d.valueOf(base).Box(), chain(base, n)))
	}
	at := &d.slots[n.slot]
	switch {
	case at.change != none:
		return d.cold[n.slot].text
	case at.first == 0:
		return nil
	case d.changes > 0 && d.changedBelow(n):
		text, err := d.splice(nil, n)
		if err != nil {
			return nil
		}
		return text
	case n.parent == nil: // with the white space around it
		return d.raw
	}
	return d.raw[at.start:at.end:at.end]
}

// trimmed is a text without the white space around it.
func trimmed(text []byte) []byte {
	if text == nil {
		return nil
	}
	return text[syntax.Space(text, 0) : syntax.SpaceBack(text, len(text))+1]
}

// extract is the part of a text where a path stands.
func extract(text []byte, segments []Segment) []byte {
	if text == nil {
		return nil
	}
	p := NewPaths()
	s := p.Read(segments...)
	p.Freeze()
	var e Document
	e.Reset(p, text, JSON)
	if e.open() != nil || e.slots[s].first == 0 {
		return nil
	}
	return text[e.slots[s].start:e.slots[s].end]
}

// chain is the paths from below base down to n.
func chain(base, n *node) []*node {
	var nodes []*node
	for ; n != base; n = n.parent {
		nodes = append(nodes, n)
	}
	slices.Reverse(nodes)
	return nodes
}

// resolve is the segments of a chain with indexes that count from the start of the lists in x.
func resolve(x any, nodes []*node) []Segment {
	segments := make([]Segment, 0, len(nodes))
	for _, n := range nodes {
		s := n.segment
		switch y := x.(type) {
		case map[string]any:
			x = y[s.Name]
		case []any:
			i, ok := place(y, s.Index)
			if x = nil; ok {
				s.Index, x = i, y[i]
			}
		default:
			x = nil
		}
		segments = append(segments, s)
	}
	return segments
}

// with is a copy of x, the value of the path at, in which the end of the chain holds v.
func with(x any, at *node, nodes []*node, v any) (any, error) {
	if len(nodes) == 0 {
		return v, nil
	}
	next, target := nodes[0], nodes[len(nodes)-1]
	switch x := x.(type) {
	case nil:
		if next.segment.IsIndex {
			return nil, nilError(at, target, write)
		}
		inner, err := with(nil, next, nodes[1:], v)
		return map[string]any{next.segment.Name: inner}, err
	case map[string]any:
		if next.segment.IsIndex {
			break
		}
		inner, err := with(x[next.segment.Name], next, nodes[1:], v)
		if err != nil {
			return nil, err
		}
		m := copyOf(x)
		m[next.segment.Name] = inner
		return m, nil
	case []any:
		if !next.segment.IsIndex {
			break
		}
		i, ok := place(x, next.segment.Index)
		if !ok {
			return nil, rangeError(at, target, len(x), write)
		}
		inner, err := with(x[i], next, nodes[1:], v)
		if err != nil {
			return nil, err
		}
		l := slices.Clone(x)
		l[i] = inner
		return l, nil
	}
	return nil, kindError(at, target, value.Unbox(x).Kind(), write)
}

// without is a copy of x, the value of the path at, that lacks the end of the chain; found says whether x had it.
func without(x any, at *node, nodes []*node) (changed any, found bool, err error) {
	next, target, last := nodes[0], nodes[len(nodes)-1], len(nodes) == 1
	switch x := x.(type) {
	case nil:
		return nil, false, nil
	case map[string]any:
		if next.segment.IsIndex {
			break
		}
		inner, found := x[next.segment.Name]
		if found && !last {
			inner, found, err = without(inner, next, nodes[1:])
		}
		if err != nil || !found {
			return x, false, err
		}
		m := copyOf(x)
		if last {
			delete(m, next.segment.Name)
		} else {
			m[next.segment.Name] = inner
		}
		return m, true, nil
	case []any:
		i, found := place(x, next.segment.Index)
		if !next.segment.IsIndex {
			break
		}
		if !found {
			return x, false, nil
		}
		if last {
			return slices.Delete(slices.Clone(x), i, i+1), true, nil
		}
		inner, found, err := without(x[i], next, nodes[1:])
		if err != nil || !found {
			return x, false, err
		}
		l := slices.Clone(x)
		l[i] = inner
		return l, true, nil
	}
	return nil, false, kindError(at, target, value.Unbox(x).Kind(), write)
}

func copyOf(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return maps.Clone(m)
}
