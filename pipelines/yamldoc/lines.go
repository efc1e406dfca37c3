package yamldoc

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// lines converts between byte offsets, the parser's line and column, and the line and column people see. The two differ:
// YAML 1.1 also ends a line at a lone CR, NEL, LS and PS, editors and findings only at LF (with or without CR).
type lines struct {
	src string
	// yaml and file hold the offset of each line's first byte.
	yaml, file []int
	// runes[i] is the number of runes that start before offset i*stride.
	runes []int
}

const stride = 64

func newLines(src string) *lines {
	l := &lines{src: src, yaml: []int{0}, file: []int{0}}
	count := 0
	for offset := 0; offset < len(src); {
		_, size := utf8.DecodeRuneInString(src[offset:])
		for len(l.runes)*stride <= offset {
			l.runes = append(l.runes, count)
		}
		if n := breakLength(src[offset:]); n > 0 {
			if src[offset] != '\r' || n == 2 || offset+1 == len(src) || src[offset+1] != '\n' {
				l.yaml = append(l.yaml, offset+n)
			}
			if src[offset] == '\n' || n == 2 && src[offset] == '\r' {
				l.file = append(l.file, offset+n)
			}
			if n == 2 && src[offset] == '\r' {
				count++
				size = 2
			}
		}
		offset += size
		count++
	}
	for len(l.runes)*stride <= len(src) {
		l.runes = append(l.runes, count)
	}
	return l
}

// breakLength is the length of the line break at the start of text, 0 if there is none.
func breakLength(text string) int {
	switch {
	case strings.HasPrefix(text, "\r\n"):
		return 2
	case strings.HasPrefix(text, "\n"), strings.HasPrefix(text, "\r"):
		return 1
	case strings.HasPrefix(text, "\u0085"):
		return 2
	case strings.HasPrefix(text, "\u2028"), strings.HasPrefix(text, "\u2029"):
		return 3
	}
	return 0
}

// before counts the runes that start before an offset.
func (l *lines) before(offset int) int {
	block := offset / stride
	start := block * stride
	for start < offset && !utf8.RuneStart(l.src[start]) {
		start++
	}
	return l.runes[block] + utf8.RuneCountInString(l.src[start:offset])
}

// offset returns the byte offset of a position as the parser counts it. Positions outside the text are moved to its end.
func (l *lines) offset(line, col int) int {
	if line < 1 || line > len(l.yaml) {
		return len(l.src)
	}
	want := l.before(l.yaml[line-1]) + col - 1
	block := sort.SearchInts(l.runes, want+1) - 1
	offset, count := block*stride, l.runes[block]
	for offset < len(l.src) && !utf8.RuneStart(l.src[offset]) {
		offset++
	}
	for count < want && offset < len(l.src) {
		_, size := utf8.DecodeRuneInString(l.src[offset:])
		offset += size
		count++
	}
	return offset
}

// position returns the line and column of a byte offset as people count them.
func (l *lines) position(offset int) (line, col int) {
	offset = min(max(offset, 0), len(l.src))
	line = sort.SearchInts(l.file, offset+1)
	return line, l.before(offset) - l.before(l.file[line-1]) + 1
}

// lineEnd returns the offset of the end of the line that holds offset, its line break not included.
func (l *lines) lineEnd(offset int) int {
	next := sort.SearchInts(l.file, min(offset, len(l.src))+1)
	if next == len(l.file) {
		return len(l.src)
	}
	end := l.file[next] - 1
	if end > offset && l.src[end-1] == '\r' {
		end--
	}
	return end
}
