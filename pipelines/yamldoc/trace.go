package yamldoc

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// trace walks the raw source of a scalar and notes, for every rune of its decoded text, the byte it came from.
// It repeats the scanner's rules for one scalar whose style and text are known, and gives up (ok false) rather than guess.
func trace(src string, start int, style Style, text string) (offsets []int, end int, ok bool) {
	t := &tracer{src: src, pos: start, rest: text}
	switch style {
	case StyleSingleQuoted:
		t.single()
	case StyleDoubleQuoted:
		t.double()
	case StyleLiteral, StyleFolded:
		return traceBlock(src, start, style, text)
	default:
		t.plain()
	}
	return t.offsets, t.pos, t.complete()
}

type tracer struct {
	src string
	pos int
	// rest is the part of the decoded text that has no source yet.
	rest    string
	offsets []int
	failed  bool
}

func (t *tracer) complete() bool { return !t.failed && t.rest == "" }

// emit notes that the next rune of the text came from an offset; it fails when the text goes on differently.
func (t *tracer) emit(r rune, at int) {
	next, size := utf8.DecodeRuneInString(t.rest)
	if size == 0 || next != r {
		t.failed = true
		return
	}
	t.rest = t.rest[size:]
	t.offsets = append(t.offsets, at)
}

// copy takes the rune at the current place as it is.
func (t *tracer) copy() {
	r, size := utf8.DecodeRuneInString(t.src[t.pos:])
	if size == 0 {
		t.failed = true
		return
	}
	t.emit(r, t.pos)
	t.pos += size
}

func (t *tracer) blank() bool {
	return t.pos < len(t.src) && (t.src[t.pos] == ' ' || t.src[t.pos] == '\t')
}

func (t *tracer) atBreak() int { return breakLength(t.src[t.pos:]) }

// breakRune is what the parser makes of the line break at an offset.
func (t *tracer) breakRune(at int) rune {
	r, _ := utf8.DecodeRuneInString(t.src[at:])
	if r == '\u2028' || r == '\u2029' {
		return r
	}
	return '\n'
}

func (t *tracer) plain() {
	for !t.failed && t.rest != "" {
		if t.blank() || t.atBreak() > 0 {
			t.fold()
			continue
		}
		t.copy()
	}
}

// fold reads a run of blanks and line breaks inside a plain or quoted scalar. Without a break the blanks are text; one
// break is a space; of more, the first is dropped.
func (t *tracer) fold() {
	start := t.pos
	var breaks []int
	for t.blank() || t.atBreak() > 0 {
		if n := t.atBreak(); n > 0 {
			breaks = append(breaks, t.pos)
			t.pos += n
			continue
		}
		t.pos++
	}
	switch {
	case len(breaks) == 0:
		for i := start; i < t.pos; i++ {
			t.emit(rune(t.src[i]), i)
		}
	case t.breakRune(breaks[0]) != '\n':
		t.emitBreaks(breaks)
	case len(breaks) == 1:
		t.emit(' ', breaks[0])
	default:
		t.emitBreaks(breaks[1:])
	}
}

func (t *tracer) emitBreaks(offsets []int) {
	for _, at := range offsets {
		t.emit(t.breakRune(at), at)
	}
}

func (t *tracer) single() {
	t.pos++
	for !t.failed {
		switch {
		case strings.HasPrefix(t.src[t.pos:], "''"):
			t.emit('\'', t.pos)
			t.pos += 2
		case strings.HasPrefix(t.src[t.pos:], "'"):
			t.pos++
			return
		case t.blank() || t.atBreak() > 0:
			t.fold()
		default:
			t.copy()
		}
	}
}

func (t *tracer) double() {
	t.pos++
	for !t.failed {
		switch {
		case strings.HasPrefix(t.src[t.pos:], `"`):
			t.pos++
			return
		case strings.HasPrefix(t.src[t.pos:], `\`):
			t.escape()
		case t.blank() || t.atBreak() > 0:
			t.fold()
		default:
			t.copy()
		}
	}
}

// escape reads a backslash sequence of a double-quoted scalar.
func (t *tracer) escape() {
	at := t.pos
	t.pos++
	if n := t.atBreak(); n > 0 {
		t.pos += n
		t.continueLine()
		return
	}
	if t.pos >= len(t.src) {
		t.failed = true
		return
	}
	sign := t.src[t.pos]
	t.pos++
	if digits := hexDigits(sign); digits > 0 {
		if t.pos+digits > len(t.src) {
			t.failed = true
			return
		}
		value, err := strconv.ParseUint(t.src[t.pos:t.pos+digits], 16, 32)
		t.failed = err != nil
		t.pos += digits
		t.emit(rune(value), at)
		return
	}
	r, known := simpleEscapes[sign]
	t.failed = !known
	t.emit(r, at)
}

// continueLine skips the indentation after an escaped line break; empty lines that follow are text.
func (t *tracer) continueLine() {
	for t.blank() || t.atBreak() > 0 {
		if n := t.atBreak(); n > 0 {
			t.emit(t.breakRune(t.pos), t.pos)
			t.pos += n
			continue
		}
		t.pos++
	}
}

func hexDigits(sign byte) int {
	switch sign {
	case 'x':
		return 2
	case 'u':
		return 4
	case 'U':
		return 8
	}
	return 0
}

// simpleEscapes are the one-letter escapes of YAML 1.1 (section 5.6), as the parser knows them.
var simpleEscapes = map[byte]rune{
	'0': 0, 'a': '\a', 'b': '\b', 't': '\t', '\t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1b,
	' ': ' ', '"': '"', '\'': '\'', '\\': '\\', 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
}
