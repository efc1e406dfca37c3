package document

import "github.com/millstream/millstream/flow/value"

// Mark is a point to which Rollback returns. It holds until the next Reset, CopyFrom, or Rollback to an earlier mark.
type Mark struct{ length int }

// journal keeps the states that writes replaced, once a mark asks for it.
type journal struct {
	on      bool
	entries []entry
}

type entry struct {
	id    Slot
	slot  slot
	value value.Value
	text  []byte
	phase phase
}

func (j *journal) reset() {
	j.on = false
	j.entries = j.entries[:0]
}

// Mark notes the present state.
func (d *Document) Mark() Mark {
	d.journal.on = true
	return Mark{len(d.journal.entries)}
}

// Rollback undoes all writes since the mark.
func (d *Document) Rollback(m Mark) {
	j := &d.journal
	for i := len(j.entries) - 1; i >= m.length; i-- {
		e := &j.entries[i]
		d.count(d.slots[e.id].change, e.slot.change)
		d.slots[e.id] = e.slot
		d.cold[e.id].value, d.cold[e.id].text = e.value, e.text
		d.phase = e.phase
	}
	j.entries = j.entries[:min(m.length, len(j.entries))]
	d.merged = d.merged[:0]
}

func (d *Document) count(from, to change) {
	if from != none {
		d.changes--
	}
	if to != none {
		d.changes++
	}
}

// put changes the state of a slot: each write goes through it.
func (d *Document) put(s Slot, c change, v value.Value, text []byte, pending bool) {
	at, cold := &d.slots[s], &d.cold[s]
	if d.journal.on {
		d.journal.entries = append(d.journal.entries, entry{id: s, slot: *at, value: cold.value, text: cold.text, phase: d.phase})
	}
	d.count(at.change, c)
	d.dirty = true
	d.merged = d.merged[:0]
	at.change = c
	at.marks &^= markPending
	if pending {
		at.marks |= markPending
	}
	cold.value, cold.text = v, text
	if s == Root {
		d.phase = whole
	}
}
