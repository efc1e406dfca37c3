package document

import (
	"fmt"

	"github.com/millstream/millstream/flow/value"
)

// Set assigns to a path that was declared with Write. Maps that are missing or nil above it are made; a list's element must exist;
// writing below anything but a map or list is a *PathError. The markers do what they say: Delete deletes, Keep does nothing.
func (d *Document) Set(s Slot, v value.Value) error {
	switch v.Kind() {
	case value.KindDelete:
		return d.Delete(s)
	case value.KindKeep:
		return nil
	}
	return d.assign(s, v, nil, false)
}

// SetNone leaves no payload at all, which is not JSON's null.
func (d *Document) SetNone() {
	d.clearBelow(d.paths.nodes[Root])
	d.put(Root, deleted, value.Value{}, nil, false)
}

// Delete removes a path that was declared with Write: a member from its map, an element from its list (those behind it move up), and
// with Root the whole payload, as SetNone does. Where it is absent nothing happens; below anything but a map or list it is a
// *PathError.
func (d *Document) Delete(s Slot) error {
	if s == Root {
		d.SetNone()
		return nil
	}
	n, err := d.target(s)
	if err != nil {
		return err
	}
	if base := d.base(n); base != nil {
		if d.phase != whole && d.kind(base) == value.KindNil && d.slots[base.slot].change == none {
			return d.removable(n)
		}
		return d.removeInside(base, n)
	}
	at := &d.slots[s]
	there := at.change == assigned || (at.change == none && (at.first != 0 || d.changedBelow(n)))
	switch {
	case at.change == deleted:
		return nil
	case !there:
		return d.removable(n)
	case n.segment.IsIndex && !d.element:
		return d.removeInside(n.parent, n)
	}
	d.clearBelow(n)
	d.put(s, deleted, value.Value{}, nil, false)
	return nil
}

// Copy assigns the value of from to to, as `to: from` does, and keeps the payload's bytes of it, where a value read and assigned would
// be written in its shortest form. Below something missing or nil, from is a *PathError.
func (d *Document) Copy(from, to Slot) error {
	if err := d.open(); err != nil {
		return err
	}
	n := d.paths.nodes[from]
	if at := &d.slots[from]; d.phase == scanned && at.change == none && at.first != 0 &&
		d.base(n) == nil && !(d.changes > 0 && d.changedBelow(n)) {
		return d.assign(to, value.Value{}, d.raw[at.start:at.end:at.end], true)
	}
	v, err := d.look(from, true)
	if err != nil {
		return err
	}
	return d.assign(to, v, trimmed(d.textOf(n)), false)
}

// target opens the payload for a write.
func (d *Document) target(s Slot) (*node, error) {
	n := d.paths.nodes[s]
	if n.traits&written == 0 {
		return nil, fmt.Errorf("write %s: the path was not declared as written", n.path)
	}
	return n, d.open()
}

func (d *Document) assign(s Slot, v value.Value, text []byte, pending bool) error {
	if s == Root {
		d.clearBelow(d.paths.nodes[Root])
		d.put(Root, assigned, v, text, pending)
		return nil
	}
	n, err := d.target(s)
	if err != nil {
		return err
	}
	if base := d.base(n); base != nil {
		if pending {
			v = parsed(text)
		}
		return d.assignInside(base, n, v, text)
	}
	if at := &d.slots[s]; at.first == 0 && at.change == none {
		if err := d.reach(n, n); err != nil {
			return err
		}
	}
	d.clearBelow(n)
	d.put(s, assigned, v, text, pending)
	return nil
}

// reach judges whether the absent path n can be made.
func (d *Document) reach(n, target *node) error {
	up := n.parent
	k := d.kind(up)
	switch {
	case k == value.KindMap && !n.segment.IsIndex:
		return nil
	case k == value.KindNil && n.segment.IsIndex:
		return nilError(up, target, write)
	case k == value.KindNil:
		if up.parent == nil || d.slots[up.slot].first != 0 {
			return nil
		}
		return d.reach(up, target)
	case k == value.KindList && n.segment.IsIndex:
		return rangeError(up, target, len(d.decoded(up.slot).List()), write)
	}
	return kindError(up, target, k, write)
}

// removable judges whether the absent path n could have been there.
func (d *Document) removable(n *node) error {
	for up, kid := n.parent, n; up != nil; up, kid = up.parent, up {
		k := d.kind(up)
		if k == value.KindNil {
			continue
		}
		if (k == value.KindMap && !kid.segment.IsIndex) || (k == value.KindList && kid.segment.IsIndex) {
			return nil
		}
		return kindError(up, n, k, write)
	}
	return nil
}

// clearBelow forgets what was written below n.
func (d *Document) clearBelow(n *node) {
	if d.changes == 0 || len(n.writers) == 0 {
		return
	}
	for _, kid := range n.writers {
		if d.slots[kid.slot].change != none {
			d.put(kid.slot, none, value.Value{}, nil, false)
		}
		d.clearBelow(kid)
	}
}
