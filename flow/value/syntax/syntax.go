// Package syntax is JSON's grammar over a byte slice: where a value starts and ends, and whether it is one.
//
// It is the single judge of what is JSON, shared by the readers that decode a whole text (package value) and those that
// only look for a few positions (package document), so that both come to the same verdict. It builds no values.
//
// Every scanning function returns the position behind what it passed over, or a negative number that Fault turns into an
// error; so a scan costs no error value until one is needed.
package syntax

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// Limits of a text. A text beyond them is not decoded.
const (
	MaxDepth  = 512           // lists and maps open at once
	MaxValues = 1_000_000     // values in one text, members and elements included
	maxBytes  = math.MaxInt32 // positions are kept in 32 bits
)

// Reason says what is wrong at a position.
type Reason uint8

// Reasons, as Fail takes them.
const (
	WantValue Reason = iota
	WantKey
	WantColon
	WantMemberEnd
	WantElementEnd
	WantEnd
	BadNumber
	NumberRange
	BadEscape
	ControlCharacter
	OpenString
	TooDeep
	TooMany
	TooLarge
	NotUTF8
	ByteOrderMark
)

var reasons = [...]string{
	WantValue:        "expected a value",
	WantKey:          "expected a key in double quotes",
	WantColon:        "expected ':' behind a key",
	WantMemberEnd:    "expected ',' or '}' behind a member",
	WantElementEnd:   "expected ',' or ']' behind an element",
	WantEnd:          "text behind the end of the value",
	BadNumber:        "malformed number",
	NumberRange:      "number is too large for a float64",
	BadEscape:        "malformed escape in a string",
	ControlCharacter: "control character in a string; it must be escaped",
	OpenString:       "string without closing quote",
	TooDeep:          "more than " + strconv.Itoa(MaxDepth) + " lists and maps inside each other",
	TooMany:          "more than " + strconv.Itoa(MaxValues) + " values",
	TooLarge:         "text of 2 GiB or more",
	NotUTF8:          "bytes that are not UTF-8",
	ByteOrderMark:    "byte order mark before the value",
}

// Error is what makes a text no JSON.
type Error struct {
	Offset int // in bytes, from 0; the length of the text when it ends too early
	Reason string
}

// Error names reason and position.
func (e *Error) Error() string {
	return fmt.Sprintf("malformed JSON at byte %d: %s", e.Offset, e.Reason)
}

const reasonBits = 5

// Fail is the negative end that stands for a fault at a position.
func Fail(at int, r Reason) int { return ^(at<<reasonBits | int(r)) }

// Fault is the error behind a negative end.
func Fault(end int) *Error {
	end = ^end
	return &Error{Offset: end >> reasonBits, Reason: reasons[end&(1<<reasonBits-1)]}
}

// Check judges what concerns the text as a whole, before it is scanned: its length, its encoding, and, for texts long enough
// to break it, the limit on values. It is 0 when all is well, else a negative end.
func Check(b []byte) int {
	if len(b) >= maxBytes {
		return Fail(0, TooLarge)
	}
	if !utf8.Valid(b) {
		return Fail(invalidAt(b), NotUTF8)
	}
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		return Fail(0, ByteOrderMark)
	}
	if len(b) > MaxValues { // each value takes a byte at least
		return checkCount(b)
	}
	return 0
}

// checkCount counts the values of a text from its commas and brackets. On a malformed text the count means nothing and does
// not matter: the scan refuses the text anyway.
func checkCount(b []byte) int {
	count, opened := 1, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case ' ', '\n', '\t', '\r':
			continue
		case '{', '[':
			if opened {
				count++
			}
			opened = true
			continue
		case '}', ']':
		case ',':
			count++
		case '"':
			if opened {
				count++
			}
			end, _ := String(b, i+1)
			if end < 0 {
				return 0
			}
			i = end - 1
		default:
			if opened {
				count++
			}
		}
		opened = false
		if count > MaxValues {
			return Fail(i, TooMany)
		}
	}
	return 0
}

func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// Space is the first position from i on that is not white space.
func Space(b []byte, i int) int {
	for i < len(b) {
		c := b[i]
		if c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
			return i
		}
		i++
	}
	return i
}

// SpaceBack is the last position before i that is not white space, or -1.
func SpaceBack(b []byte, i int) int {
	for i--; i >= 0; i-- {
		c := b[i]
		if c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
			return i
		}
	}
	return -1
}

// Number passes over a number that starts at i; float says that it has a fraction or an exponent. A number that no float64
// holds is refused.
func Number(b []byte, i int) (end int, float bool) {
	start := i
	if b[i] == '-' {
		i++
	}
	digits := i
	i = skipDigits(b, i)
	if i == digits || (b[digits] == '0' && i > digits+1) {
		return Fail(start, BadNumber), false
	}
	if i < len(b) && b[i] == '.' {
		float = true
		fraction := i + 1
		if i = skipDigits(b, fraction); i == fraction {
			return Fail(start, BadNumber), true
		}
	}
	exponent := i < len(b) && b[i]|0x20 == 'e'
	if exponent {
		float = true
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		power := i
		if i = skipDigits(b, i); i == power {
			return Fail(start, BadNumber), true
		}
	}
	if exponent || i-start > 300 {
		text := b[start:i]
		if _, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64); err != nil {
			return Fail(start, NumberRange), float
		}
	}
	return i, float
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// Literal passes over true, false or null, whichever starts at i.
func Literal(b []byte, i int) int {
	word := "null"
	switch b[i] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	}
	if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
		return i + len(word)
	}
	return Fail(i, WantValue)
}

// Skip passes over the value that starts at i inside depth open lists and maps, and judges all of it.
func Skip(b []byte, i, depth int) int {
	if i >= len(b) {
		return Fail(i, WantValue)
	}
	switch c := b[i]; {
	case c == '"':
		end, _ := String(b, i+1)
		return end
	case c == '-' || c-'0' <= 9:
		end, _ := Number(b, i)
		return end
	case c == '{':
		return skipMap(b, i, depth)
	case c == '[':
		return skipList(b, i, depth)
	case c == 't' || c == 'f' || c == 'n':
		return Literal(b, i)
	}
	return Fail(i, WantValue)
}

func skipMap(b []byte, i, depth int) int {
	if depth >= MaxDepth {
		return Fail(i, TooDeep)
	}
	i = Space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return Fail(i, WantKey)
		}
		if i, _ = String(b, i+1); i < 0 {
			return i
		}
		if i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' { // the usual spelling
			i++
		} else if i = Colon(b, i); i < 0 {
			return i
		}
		if i < len(b) && b[i] == '"' {
			i, _ = String(b, i+1)
		} else {
			i = Skip(b, i, depth+1)
		}
		if i < 0 {
			return i
		}
		if i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
		if i < len(b) && b[i] == '}' {
			return i + 1
		}
		if i >= len(b) || b[i] != ',' {
			return Fail(i, WantMemberEnd)
		}
		i++
		if i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
	}
}

func skipList(b []byte, i, depth int) int {
	if depth >= MaxDepth {
		return Fail(i, TooDeep)
	}
	i = Space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = Skip(b, i, depth+1); i < 0 {
			return i
		}
		if i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
		if i < len(b) && b[i] == ']' {
			return i + 1
		}
		if i >= len(b) || b[i] != ',' {
			return Fail(i, WantElementEnd)
		}
		i++
		if i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
	}
}

// Colon passes over the colon behind a key that ended at i, with the white space around it.
func Colon(b []byte, i int) int {
	if i < len(b) && b[i] <= ' ' {
		i = Space(b, i)
	}
	if i >= len(b) || b[i] != ':' {
		return Fail(i, WantColon)
	}
	i++
	if i < len(b) && b[i] <= ' ' {
		i = Space(b, i)
	}
	return i
}
