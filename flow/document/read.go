package document

import "github.com/millstream/millstream/flow/value"

// Get is the value of a path, as `body.a.b` reads it: a missing key of a map is nil; below something missing or nil, below anything
// but a map or list, and behind the end of a list it is a *PathError. A payload that cannot be decoded is a *DecodeError, at each read.
func (d *Document) Get(s Slot) (value.Value, error) {
	if d.phase == scanned && d.paths.traits[s]&(under|over|uncertain) == 0 {
		at := &d.slots[s]
		if at.change == none && at.marks&markDecoded != 0 {
			return d.cold[s].read, nil
		}
	}
	return d.look(s, true)
}

// Lookup is the value of a path as `body?.a?.b` reads it: nil where Get would find something missing or nil above it, or the end of
// a list before it. Below a scalar it still is a *PathError.
func (d *Document) Lookup(s Slot) (value.Value, error) {
	if d.phase == scanned && d.paths.traits[s]&(under|over|uncertain) == 0 {
		at := &d.slots[s]
		if at.change == none && at.marks&markDecoded != 0 {
			return d.cold[s].read, nil
		}
	}
	return d.look(s, false)
}

func (d *Document) look(s Slot, strict bool) (value.Value, error) {
	if err := d.open(); err != nil {
		return value.Value{}, err
	}
	n := d.paths.nodes[s]
	if base := d.base(n); base != nil {
		return d.inside(base, n, n, strict)
	}
	at := &d.slots[s]
	switch {
	case at.change == assigned:
		return d.assignedValue(n), nil
	case at.change == deleted:
		return value.Value{}, nil
	case n.traits&over != 0 && d.changes > 0 && d.changedBelow(n):
		return d.mergedValue(n), nil
	case at.first != 0:
		return d.decoded(s), nil
	}
	return d.absent(n, n, strict)
}

// base is the path above n (or the root itself) from whose value n is read because its place in the payload does not tell: a path
// that was assigned or deleted, or a list of which a negative index counts.
func (d *Document) base(n *node) *node {
	if d.phase == whole {
		return d.paths.nodes[Root]
	}
	if n.traits&(under|uncertain) == 0 {
		return nil
	}
	var base *node
	for up := n; up.parent != nil; up = up.parent {
		if d.slots[up.slot].change != none && up != n {
			return up
		}
		if up.segment.IsIndex && up.segment.Index < 0 {
			base = up.parent
		}
	}
	return base
}

// valueOf is the present value of a path that base has named.
func (d *Document) valueOf(n *node) value.Value {
	at := &d.slots[n.slot]
	switch {
	case d.phase == whole && at.change == none: // text or bytes
		return d.cold[n.slot].value
	case at.change == assigned:
		return d.assignedValue(n)
	case at.change == deleted:
		return value.Value{}
	case d.changes > 0 && d.changedBelow(n):
		return d.mergedValue(n)
	case at.first != 0:
		return d.decoded(n.slot)
	}
	return value.Value{}
}

// inside reads n from the value of the path base above it.
func (d *Document) inside(base, n, target *node, strict bool) (value.Value, error) {
	if n == base {
		if d.phase != whole && d.slots[n.slot].change == none && d.slots[n.slot].first == 0 && !d.changedBelow(n) && n.parent != nil {
			return d.absent(n, target, strict)
		}
		return d.valueOf(n), nil
	}
	v, err := d.inside(base, n.parent, target, strict)
	if err != nil {
		return value.Value{}, err
	}
	return step(v, n, target, strict)
}

// step reads the last segment of n from the value of n's parent.
func step(v value.Value, n, target *node, strict bool) (value.Value, error) {
	switch k := v.Kind(); {
	case k == value.KindNil && !strict:
		return value.Value{}, nil
	case k == value.KindNil:
		return value.Value{}, nilError(n.parent, target, read)
	case k == value.KindMap && !n.segment.IsIndex:
		return value.Unbox(v.Map()[n.segment.Name]), nil
	case k == value.KindList && n.segment.IsIndex:
		l := v.List()
		if i, ok := place(l, n.segment.Index); ok {
			return value.Unbox(l[i]), nil
		}
		if !strict {
			return value.Value{}, nil
		}
		return value.Value{}, rangeError(n.parent, target, len(l), read)
	default:
		return value.Value{}, kindError(n.parent, target, k, read)
	}
}

// place is where an index points in a list.
func place(l []any, index int) (int, bool) {
	if index < 0 {
		index += len(l)
	}
	return index, index >= 0 && index < len(l)
}

// absent reads n, which the payload has not and nothing was written to: it is nil where the path above allows that.
func (d *Document) absent(n, target *node, strict bool) (value.Value, error) {
	up := n.parent
	if up == nil {
		return value.Value{}, nil
	}
	k := d.kind(up)
	switch {
	case k == value.KindNil:
		if d.slots[up.slot].first == 0 {
			if _, err := d.absent(up, target, strict); err != nil {
				return value.Value{}, err
			}
		}
		if strict {
			return value.Value{}, nilError(up, target, read)
		}
		return value.Value{}, nil
	case k == value.KindMap && !n.segment.IsIndex:
		return value.Value{}, nil
	case k == value.KindList && n.segment.IsIndex:
		if strict {
			return value.Value{}, rangeError(up, target, len(d.decoded(up.slot).List()), read)
		}
		return value.Value{}, nil
	}
	return value.Value{}, kindError(up, target, k, read)
}

// kind is what a path holds now, of which neither it nor one above was assigned or deleted as a whole.
func (d *Document) kind(n *node) value.Kind {
	switch d.slots[n.slot].first {
	case '{':
		return value.KindMap
	case '[':
		return value.KindList
	case '"':
		return value.KindString
	case 't', 'f':
		return value.KindBool
	case '0':
		return value.KindFloat
	}
	if d.changes > 0 && d.changedBelow(n) { // a write below made a map of it
		return value.KindMap
	}
	return value.KindNil
}

// changedBelow reports whether anything below n was assigned or deleted.
func (d *Document) changedBelow(n *node) bool {
	for _, kid := range n.writers {
		if d.slots[kid.slot].change != none || d.changedBelow(kid) {
			return true
		}
	}
	return false
}

// decoded is the payload's value of a slot that it has.
func (d *Document) decoded(s Slot) value.Value {
	at := &d.slots[s]
	if at.marks&markDecoded == 0 {
		d.cold[s].read = d.decode(at)
		at.marks |= markDecoded
	}
	return d.cold[s].read
}

func (d *Document) decode(at *slot) value.Value {
	text := d.raw[at.start:at.end]
	switch at.first {
	case '0':
		return value.ScannedNumber(text, at.marks&markFloat != 0)
	case '"':
		return value.ParseString(text[1:len(text)-1], at.marks&markEscaped != 0)
	case 't':
		return value.Bool(true)
	case 'f':
		return value.Bool(false)
	case '{', '[':
		return parsed(text)
	}
	return value.Value{}
}

// parsed decodes a text that is known to be JSON.
func parsed(text []byte) value.Value {
	v, _ := value.ParseJSON(text)
	return v
}

func (d *Document) assignedValue(n *node) value.Value {
	at, cold := &d.slots[n.slot], &d.cold[n.slot]
	if at.marks&markPending != 0 {
		cold.value = parsed(cold.text)
		at.marks &^= markPending
	}
	return cold.value
}

// merged is the value of a path with the writes below it, kept until the next write.
type merged struct {
	slot  Slot
	value value.Value
}

func (d *Document) mergedValue(n *node) value.Value {
	for _, m := range d.merged {
		if m.slot == n.slot {
			return m.value
		}
	}
	var fresh any // decoded anew: it is about to be changed
	if at := &d.slots[n.slot]; at.first != 0 {
		fresh = d.decode(at).Box()
	}
	v := value.Unbox(d.overlay(fresh, n))
	d.merged = append(d.merged, merged{slot: n.slot, value: v})
	return v
}

// overlay applies the writes below n to n's value x, which nobody else holds.
func (d *Document) overlay(x any, n *node) any {
	for _, kid := range n.writers {
		change := d.slots[kid.slot].change
		if change == none && !d.changedBelow(kid) {
			continue
		}
		if l, ok := x.([]any); ok {
			if change == assigned {
				l[kid.segment.Index] = d.assignedValue(kid).Box()
			} else {
				l[kid.segment.Index] = d.overlay(l[kid.segment.Index], kid)
			}
			continue
		}
		m, ok := x.(map[string]any)
		if !ok {
			m = map[string]any{}
			x = m
		}
		switch change {
		case assigned:
			m[kid.segment.Name] = d.assignedValue(kid).Box()
		case deleted:
			delete(m, kid.segment.Name)
		default:
			m[kid.segment.Name] = d.overlay(m[kid.segment.Name], kid)
		}
	}
	return x
}
