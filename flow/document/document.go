// Package document holds the body of one message: it decodes what expressions ask for and nothing else, and writes back
// what transforms assigned while every other byte stays as it came.
//
// The paths are known when a pipeline is compiled (Paths); each has a slot. The first read scans the whole payload once, judges
// all of it, and notes where the slots' values stand. Values are decoded when they are asked for. Writes are kept beside the payload
// and spliced into it at the end.
//
// At any time no written slot stands below another: a write below an assigned value goes into (a copy of) that value, and a write
// above written slots replaces them.
//
// A payload of any other format is decoded whole by its Coder at the first read, and written whole by it once anything was written.
//
// The package knows nothing of keys, metadata, codecs other than JSON, text and bytes, or expressions.
package document

import (
	"fmt"
	"unicode/utf8"
	"unsafe"

	"github.com/millstream/millstream/flow/value"
)

// Format says what a payload is.
type Format uint8

// The formats. Text must be valid UTF-8; a path into Text or Bytes is an error. Coded is every format that a Coder knows.
const (
	JSON Format = iota
	Text
	Bytes
	Coded
)

// HasPaths tells whether a body of this format may have parts.
func (f Format) HasPaths() bool { return f == JSON || f == Coded }

// Coder turns payloads of one format into values and back. It is safe for concurrent use.
type Coder interface {
	// Decode reads a payload that is not empty, whole. The value is made of what value.Value.Box returns and may alias the payload. It
	// never panics, whatever the payload holds.
	Decode(payload []byte) (value.Value, error)
	// Append writes a value, whole, behind dst. What the format cannot say is an error.
	Append(dst []byte, v value.Value) ([]byte, error)
}

// phase is how far a document has come.
type phase uint8

const (
	unread  phase = iota // nothing is known of the payload
	scanned              // the slots' places in the payload are known
	broken               // the payload is not what its format asks for; see fault
	whole                // the root is a value of its own: assigned, deleted, or the text or bytes of such a payload
)

// change is what was written to a slot.
type change uint8

const (
	none change = iota
	assigned
	deleted
)

// marks of a slot.
const (
	markEscaped  uint8 = 1 << iota // the string holds escapes
	markFloat                      // the number is no int
	markDecoded                    // cold.read holds the payload's value
	markRepeated                   // the key occurs more than once; see Document.repeats
	markPending                    // cold.value is still to be decoded from cold.text
)

// slot is the state of a path that is cleared with each message. first is the first byte of the value in the payload, '0' for any
// number, and 0 when the payload has no such value.
type slot struct {
	key, start, end int32 // the member's key, or the element; the value
	first           byte
	marks           uint8
	change          change
}

// cold is the state of a path that means something only where slot says so.
type cold struct {
	read  value.Value // decoded from the payload
	value value.Value // assigned
	text  []byte      // the assigned value's JSON, where it is to be written with these bytes; else nil
}

// repeat is an earlier member with the same key.
type repeat struct {
	slot     Slot
	key, end int32
}

// Document is the body of one message, made to be used again for the next. The zero value is ready for Reset. It is not safe for
// concurrent use; documents made by CopyFrom are independent.
//
// Values handed out are shared and must never be changed. Strings among them alias the payload: they are valid until the payload's
// buffer is used again (value.Own makes them last).
type Document struct {
	paths   *Paths
	raw     []byte
	format  Format
	coder   Coder // of Coded
	phase   phase
	dirty   bool // slots may hold something
	element bool // deleting a list's element is noted like that of a member: for single edits of a text
	changes int  // slots that are not none
	slots   []slot
	cold    []cold
	repeats []repeat
	fault   error
	merged  []merged
	journal journal
	scratch []byte
	edits   []edit
}

// Reset starts a new message. A payload without bytes reads as nil; raw is nil when there is none at all. The document reads raw
// until the next Reset and never writes to it.
func (d *Document) Reset(p *Paths, raw []byte, f Format) {
	if d.paths != p {
		d.paths = p
		d.slots = make([]slot, p.Len())
		d.cold = make([]cold, p.Len())
	} else if d.dirty {
		clear(d.slots)
	}
	d.raw, d.format, d.coder = raw, f, nil
	d.phase, d.dirty, d.changes, d.fault = unread, false, 0, nil
	d.repeats, d.merged = d.repeats[:0], d.merged[:0]
	d.journal.reset()
}

// ResetCoded is Reset for a payload of the format Coded.
func (d *Document) ResetCoded(p *Paths, raw []byte, c Coder) {
	d.Reset(p, raw, Coded)
	d.coder = c
}

// Open decodes as much as a read would, so that a broken payload is found out now: the error is a *DecodeError.
func (d *Document) Open() error { return d.open() }

// Written reports whether anything was assigned or deleted.
func (d *Document) Written() bool { return d.changes > 0 }

// None reports whether there is no payload at all: none came, or the root was deleted. It differs from JSON's null.
func (d *Document) None() bool {
	if d.changes == 0 {
		return d.raw == nil
	}
	return d.phase == whole && d.slots[Root].change == deleted
}

// Format is the format given to Reset.
func (d *Document) Format() Format { return d.format }

// CopyFrom makes d an independent copy of o, for a branch of a fan-out. The payload's bytes are shared; marks are not copied.
func (d *Document) CopyFrom(o *Document) {
	d.Reset(o.paths, o.raw, o.format)
	d.coder = o.coder
	d.phase, d.fault, d.changes, d.element = o.phase, o.fault, o.changes, o.element
	if o.dirty {
		d.dirty = true
		copy(d.slots, o.slots)
		copy(d.cold, o.cold)
		d.repeats = append(d.repeats, o.repeats...)
	}
}

// open makes the payload readable: it scans JSON, takes text and bytes as they are, and decodes what a Coder knows.
func (d *Document) open() error {
	switch d.phase {
	case scanned, whole:
		return nil
	case broken:
		return d.fault
	}
	d.dirty = true
	switch d.format {
	case JSON:
		d.fault = d.scan()
	case Coded:
		d.fault = d.takeCoded()
	default:
		d.fault = d.takePlain()
	}
	if d.fault != nil {
		d.phase = broken
	}
	return d.fault
}

func (d *Document) takeCoded() error {
	d.phase = whole
	d.cold[Root].value = value.Value{}
	if len(d.raw) == 0 {
		return nil
	}
	v, err := d.coder.Decode(d.raw)
	if err != nil {
		return &DecodeError{Offset: -1, Reason: err.Error()}
	}
	d.cold[Root].value = v
	return nil
}

func (d *Document) takePlain() error {
	d.phase = whole
	switch {
	case len(d.raw) == 0:
		d.cold[Root].value = value.Value{}
	case d.format == Bytes:
		d.cold[Root].value = value.Bytes(d.raw)
	default:
		if at := firstInvalid(d.raw); at >= 0 {
			return &DecodeError{Offset: at, Reason: "bytes that are not UTF-8"}
		}
		d.cold[Root].value = value.String(unsafe.String(unsafe.SliceData(d.raw), len(d.raw)))
	}
	return nil
}

func firstInvalid(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

// appendCoded writes a payload of which anything was assigned.
func (d *Document) appendCoded(dst []byte) ([]byte, error) {
	out, err := d.coder.Append(dst, d.cold[Root].value)
	if err != nil {
		return dst, fmt.Errorf("write body: %w", err)
	}
	return out, nil
}

// appendPlain writes a text or bytes payload whose root was assigned.
func (d *Document) appendPlain(dst []byte) ([]byte, error) {
	switch v := d.cold[Root].value; v.Kind() {
	case value.KindNil:
		return dst, nil
	case value.KindString:
		return append(dst, v.Str()...), nil
	case value.KindBytes:
		if d.format == Text && !utf8.Valid(v.BytesValue()) {
			return dst, fmt.Errorf("write body as text: it holds bytes that are not UTF-8")
		}
		return append(dst, v.BytesValue()...), nil
	default:
		return dst, fmt.Errorf("write body as text or bytes: it is %s; assign a string, as with toJSON(…), or set encode: json", kindPhrases[v.Kind()])
	}
}
