package document

import (
	"github.com/millstream/millstream/flow/value/syntax"
)

// scan passes once over the whole payload, judges it, and notes the places of all slots.
func (d *Document) scan() error {
	d.phase = scanned
	if len(d.raw) == 0 {
		return nil
	}
	end := syntax.Check(d.raw)
	if end == 0 {
		end = d.scanValue(d.paths.nodes[Root], syntax.Space(d.raw, 0), 0)
	}
	if end >= 0 {
		if end = syntax.Space(d.raw, end); end < len(d.raw) {
			end = syntax.Fail(end, syntax.WantEnd)
		}
	}
	if end < 0 {
		e := syntax.Fault(end)
		return &DecodeError{Offset: e.Offset, Reason: e.Reason}
	}
	return nil
}

// scanValue notes the value at i for n and what stands in it for the paths below.
func (d *Document) scanValue(n *node, i, depth int) (end int) {
	b := d.raw
	if i >= len(b) {
		return syntax.Fail(i, syntax.WantValue)
	}
	s := &d.slots[n.slot]
	s.start = int32(i)
	c := b[i]
	s.first = c
	switch {
	case c == '"':
		var escaped bool
		if end, escaped = syntax.String(b, i+1); escaped {
			s.marks |= markEscaped
		}
	case c == '-' || c-'0' <= 9:
		s.first = '0'
		var float bool
		if end, float = syntax.Number(b, i); float {
			s.marks |= markFloat
		}
	case c == '{' && len(n.kids) > 0:
		end = d.scanMap(n, i, depth)
	case c == '[' && len(n.kids) > 0:
		end = d.scanList(n, i, depth)
	default:
		end = syntax.Skip(b, i, depth)
	}
	s.end = int32(end)
	return end
}

func (d *Document) scanMap(n *node, i, depth int) int {
	b := d.raw
	if depth >= syntax.MaxDepth {
		return syntax.Fail(i, syntax.TooDeep)
	}
	i = syntax.Space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return syntax.Fail(i, syntax.WantKey)
		}
		start := i
		end, escaped := syntax.String(b, i+1)
		if end < 0 {
			return end
		}
		if i = end + 1; i >= len(b) || b[end] != ':' || b[i] <= ' ' { // not the usual spelling
			if i = syntax.Colon(b, end); i < 0 {
				return i
			}
		}
		if kid := d.member(n, b[start+1:end-1], escaped); kid != nil {
			s := &d.slots[kid.slot]
			if s.first != 0 {
				d.noteRepeat(kid)
			}
			s.key = int32(start)
			i = d.scanValue(kid, i, depth+1)
		} else if i < len(b) && b[i] == '"' {
			i, _ = syntax.String(b, i+1)
		} else {
			i = syntax.Skip(b, i, depth+1)
		}
		if i < 0 {
			return i
		}
		if i < len(b) && b[i] <= ' ' {
			i = syntax.Space(b, i)
		}
		if i < len(b) && b[i] == '}' {
			return i + 1
		}
		if i >= len(b) || b[i] != ',' {
			return syntax.Fail(i, syntax.WantMemberEnd)
		}
		i++
		if i < len(b) && b[i] <= ' ' {
			i = syntax.Space(b, i)
		}
	}
}

// member is the path below n that a key belongs to, or nil.
func (d *Document) member(n *node, key []byte, escaped bool) *node {
	if escaped {
		d.scratch = syntax.Unescape(d.scratch[:0], key)
		key = d.scratch
	}
	for _, kid := range n.kids {
		if len(kid.segment.Name) == len(key) && kid.segment.Name == string(key) && !kid.segment.IsIndex {
			return kid
		}
	}
	return nil
}

func (d *Document) scanList(n *node, i, depth int) int {
	b := d.raw
	if depth >= syntax.MaxDepth {
		return syntax.Fail(i, syntax.TooDeep)
	}
	i = syntax.Space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for index := 0; ; index++ {
		if kid := elementOf(n, index); kid != nil {
			d.slots[kid.slot].key = int32(i)
			i = d.scanValue(kid, i, depth+1)
		} else {
			i = syntax.Skip(b, i, depth+1)
		}
		if i < 0 {
			return i
		}
		i = syntax.Space(b, i)
		if i < len(b) && b[i] == ']' {
			return i + 1
		}
		if i >= len(b) || b[i] != ',' {
			return syntax.Fail(i, syntax.WantElementEnd)
		}
		i = syntax.Space(b, i+1)
	}
}

func elementOf(n *node, index int) *node {
	for _, kid := range n.kids {
		if kid.segment.IsIndex && kid.segment.Index == index {
			return kid
		}
	}
	return nil
}

// noteRepeat remembers the occurrence of a key that a later one supersedes, and forgets what was found inside it.
func (d *Document) noteRepeat(n *node) {
	old := d.slots[n.slot]
	kept := d.repeats[:0]
	for _, r := range d.repeats {
		if r.key < old.start || r.key >= old.end {
			kept = append(kept, r)
		}
	}
	d.repeats = append(kept, repeat{slot: n.slot, key: old.key, end: old.end})
	d.forget(n)
	d.slots[n.slot].marks = markRepeated
}

func (d *Document) forget(n *node) {
	d.slots[n.slot] = slot{}
	for _, kid := range n.kids {
		if d.slots[kid.slot].first != 0 {
			d.forget(kid)
		}
	}
}
