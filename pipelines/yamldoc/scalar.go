package yamldoc

import (
	"unicode/utf8"

	"github.com/millstream/millstream/pipelines/diag"
)

// Style is how a value is written in the file.
type Style int

// The styles of YAML. Mappings and sequences are StylePlain (block) or StyleFlow.
const (
	StylePlain Style = iota
	StyleSingleQuoted
	StyleDoubleQuoted
	StyleLiteral
	StyleFolded
	StyleFlow
)

// Scalar is a text of the file with the way back to where each of its runes stands. Line, Col and Width mark the whole:
// the text with its quotes as far as the first line goes; of a block scalar, its first line of text. The zero Scalar is an empty text
// without a place.
type Scalar struct {
	Text             string
	Line, Col, Width int
	Style            Style

	doc   *Doc
	start int
	// offsets maps runes of Text to bytes of the file; nil when they must be traced from the source first.
	offsets []int
	alias   string
}

// Position returns the line and column in the file of a rune of Text, counted from 0. An offset past the text gives the
// place after its last rune; a rune that came from an escape or a fold gives the start of what it was written as; a rune
// that came from a variable gives the $ of it.
func (s *Scalar) Position(runeOffset int) (line, col int) {
	offset, ok := s.sourceOffset(runeOffset)
	if !ok {
		return s.Line, s.Col
	}
	return s.doc.lines.position(offset)
}

func (s *Scalar) sourceOffset(runeOffset int) (int, bool) {
	if s.doc == nil {
		return 0, false
	}
	if s.offsets == nil {
		offsets, _, ok := trace(s.doc.src, s.start, s.Style, s.Text)
		if !ok {
			return 0, false
		}
		s.offsets = offsets
	}
	switch {
	case len(s.offsets) == 0:
		return 0, false
	case runeOffset < 0:
		return s.offsets[0], true
	case runeOffset < len(s.offsets):
		return s.offsets[runeOffset], true
	}
	last := s.offsets[len(s.offsets)-1]
	if breakLength(s.doc.src[last:]) > 0 {
		return last, true
	}
	return last + runeLength(s.doc.src[last:]), true
}

func runeLength(text string) int {
	_, size := utf8.DecodeRuneInString(text)
	return size
}

// Finding is a finding about width runes of the text from runeOffset on. A width that goes past a line's end is cut there.
// The caller adds it to a list, after changing what it likes.
func (s *Scalar) Finding(code diag.Code, runeOffset, width int, message, hint string) diag.Finding {
	f := s.Whole(code, message, hint)
	from, ok := s.sourceOffset(runeOffset)
	if !ok {
		return f
	}
	f.Line, f.Col = s.doc.lines.position(from)
	to, _ := s.sourceOffset(runeOffset + max(width, 1))
	to = min(to, s.doc.lines.lineEnd(from))
	f.Width = max(1, utf8.RuneCountInString(s.doc.src[from:max(from, to)]))
	return f
}

// Whole is a finding about the whole scalar.
func (s *Scalar) Whole(code diag.Code, message, hint string) diag.Finding {
	f := diag.Finding{Line: s.Line, Col: s.Col, Width: s.Width, Code: code, Message: message, Hint: hint}
	if s.doc != nil {
		f.Path = s.doc.path
		f.Note = aliasNote(s.alias)
	}
	return f
}

func aliasNote(alias string) string {
	if alias == "" {
		return ""
	}
	return "used through the alias *" + alias
}
