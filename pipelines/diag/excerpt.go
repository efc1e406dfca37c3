package diag

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxExcerpt is the longest line, in runes, that is shown whole.
	maxExcerpt = 160
	// lead is how many runes a window shows before the marked place.
	lead = 60
)

// covered is a line with *** in place of what must not be shown, and the finding's place in it.
func covered(line []rune, hide func(line string) [][2]int, f Finding) ([]rune, Finding) {
	if hide == nil {
		return line, f
	}
	text := string(line)
	var shown []rune
	from, at := 0, 0 // bytes of text that are done, and how many runes they are
	start, end := f.Col-1, f.Col-1+f.Width
	newStart, newEnd := start, end
	for _, part := range hide(text) {
		plain := []rune(text[from:part[0]])
		first := at + len(plain)
		hidden := utf8.RuneCountInString(text[part[0]:part[1]])
		shown = append(append(shown, plain...), '*', '*', '*')
		at, from = first+hidden, part[1]
		newStart = moved(start, newStart, first, at, len(shown)-3)
		newEnd = moved(end, newEnd, first, at, len(shown)-3)
		if end > first && end < at {
			newEnd = len(shown) // a part of what is hidden is marked as the whole
		}
	}
	f.Col, f.Width = newStart+1, max(1, newEnd-newStart)
	return append(shown, []rune(text[from:])...), f
}

// moved is where a rune is after those from first to last have been hidden behind three at place; before is where it was until then.
func moved(at, before, first, last, place int) int {
	switch {
	case at >= last:
		return place + 3 + at - last
	case at > first:
		return place
	}
	return before
}

// writeExcerpt shows the finding's line and marks its runes.
func writeExcerpt(out *strings.Builder, line []rune, f Finding) {
	start := min(f.Col-1, len(line))
	end := min(start+f.Width, max(len(line), start+1))
	from, to := window(len(line), start)
	end = max(min(end, to), start+1)

	var shown, padding, carets strings.Builder
	if from > 0 {
		shown.WriteString("…")
		padding.WriteString(" ")
	}
	for i := from; i < to; i++ {
		text, cells := display(line[i])
		shown.WriteString(text)
		switch {
		case i < start && line[i] == '\t':
			padding.WriteByte('\t')
		case i < start:
			padding.WriteString(strings.Repeat(" ", cells))
		case i < end && line[i] == '\t':
			carets.WriteByte('^')
		case i < end:
			carets.WriteString(strings.Repeat("^", cells))
		}
	}
	if to < len(line) {
		shown.WriteString("…")
	}
	if carets.Len() == 0 {
		carets.WriteByte('^')
	}
	fmt.Fprintf(out, "%5d |%s\n", f.Line, strings.TrimRight(" "+shown.String(), " "))
	fmt.Fprintf(out, "%5s | %s%s\n", "", padding.String(), carets.String())
}

// window chooses the runes of a line to show: all of a short line, else a stretch around the marked place.
func window(length, start int) (from, to int) {
	if length <= maxExcerpt {
		return 0, length
	}
	from = max(0, start-lead)
	to = min(length, from+maxExcerpt)
	return max(0, to-maxExcerpt), to
}

// reader hands out lines of the sources. Findings come sorted, so it reads each file once from top to bottom.
type reader struct {
	sources map[string]source
	path    string
	number  int
	line    []rune
	rest    []byte
	ended   bool
}

// sourceLine returns the runes of a line without its end; ok is false when there is no such line. Bytes that are not UTF-8
// count as one rune each.
func (r *reader) sourceLine(path string, number int) (line []rune, ok bool) {
	from, known := r.sources[path]
	if !known {
		return nil, false
	}
	if r.number == 0 || r.path != path || number < r.number {
		r.path, r.number, r.ended = path, 0, false
		r.rest = bytes.TrimPrefix(from.text, []byte("\ufeff"))
	}
	for ; r.number < number; r.number++ {
		if r.ended {
			return nil, false
		}
		raw, rest, found := bytes.Cut(r.rest, []byte("\n"))
		r.rest, r.ended = rest, !found
		if r.number == number-1 {
			r.line = []rune(string(bytes.TrimSuffix(raw, []byte("\r"))))
		}
	}
	return r.line, true
}

// display returns how a rune of the source is shown and how many terminal cells it takes. Runes that would move the
// cursor, hide text or change its direction are shown as escapes.
func display(r rune) (string, int) {
	switch {
	case r == '\t':
		return "\t", 1
	case hidden(r):
		escaped := fmt.Sprintf("\\u%04x", r)
		if r < 0x100 {
			escaped = fmt.Sprintf("\\x%02x", r)
		}
		return escaped, len(escaped)
	case unicode.In(r, unicode.Mn, unicode.Me) || r == '\u200d':
		return string(r), 0
	case isWide(r):
		return string(r), 2
	}
	return string(r), 1
}

// hidden tells whether a rune is a control character, a line or paragraph separator, or an invisible format character
// other than the joiner that emoji and some scripts need.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\u200d'
}

// visible makes a message safe for a terminal: hidden characters, line ends included, are shown as escapes.
func visible(text string) string {
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if r == '\t' {
			out.WriteString(`\t`)
			continue
		}
		if r == '\n' {
			out.WriteString(`\n`)
			continue
		}
		shown, _ := display(r)
		out.WriteString(shown)
	}
	return out.String()
}

// isWide tells whether terminals give a rune two cells: the wide and full-width ranges of Unicode's East Asian Width
// (UAX #11), with the emoji that are shown wide by default.
func isWide(r rune) bool {
	if r < 0x1100 {
		return false
	}
	for _, interval := range [...][2]rune{
		{0x1100, 0x115f}, {0x231a, 0x231b}, {0x2329, 0x232a}, {0x23e9, 0x23ec}, {0x23f0, 0x23f0}, {0x23f3, 0x23f3},
		{0x25fd, 0x25fe}, {0x2614, 0x2615}, {0x2648, 0x2653}, {0x267f, 0x267f}, {0x2693, 0x2693}, {0x26a1, 0x26a1},
		{0x26aa, 0x26ab}, {0x26bd, 0x26be}, {0x26c4, 0x26c5}, {0x26ce, 0x26ce}, {0x26d4, 0x26d4}, {0x26ea, 0x26ea},
		{0x26f2, 0x26f3}, {0x26f5, 0x26f5}, {0x26fa, 0x26fa}, {0x26fd, 0x26fd}, {0x2705, 0x2705}, {0x270a, 0x270b},
		{0x2728, 0x2728}, {0x274c, 0x274c}, {0x274e, 0x274e}, {0x2753, 0x2755}, {0x2757, 0x2757}, {0x2795, 0x2797},
		{0x27b0, 0x27b0}, {0x27bf, 0x27bf}, {0x2b1b, 0x2b1c}, {0x2b50, 0x2b50}, {0x2b55, 0x2b55}, {0x2e80, 0x303e},
		{0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xa000, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3},
		{0xf900, 0xfaff}, {0xfe10, 0xfe19}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x16fe0, 0x18cff},
		{0x1b000, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a},
		{0x1f200, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca},
		{0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0}, {0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440},
		{0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e}, {0x1f550, 0x1f567}, {0x1f57a, 0x1f57a},
		{0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5}, {0x1f6cc, 0x1f6cc},
		{0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6df}, {0x1f6eb, 0x1f6ec}, {0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7f0},
		{0x1f90c, 0x1f93a}, {0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
	} {
		if r < interval[0] {
			return false
		}
		if r <= interval[1] {
			return true
		}
	}
	return false
}
