package yamldoc

import (
	"strings"
)

// traceBlock walks a literal (|) or folded (>) scalar. Its indentation depends on the surrounding collection, which is not
// known here, so the likely one is tried first and the others after it: only the right one yields the text.
func traceBlock(src string, start int, style Style, text string) (offsets []int, end int, ok bool) {
	header := readBlockHeader(src, start)
	first := firstTextIndent(src, header.body)
	for _, indent := range indentCandidates(header.increment, first) {
		t := &tracer{src: src, pos: header.body, rest: text}
		t.block(indent, style == StyleFolded, header.chomp)
		if t.complete() {
			return t.offsets, t.pos, true
		}
	}
	return nil, start + 1, false
}

type blockHeader struct {
	increment int
	chomp     byte
	// body is the offset of the first line after the header.
	body int
}

func readBlockHeader(src string, start int) blockHeader {
	var h blockHeader
	pos := start + 1
	for ; pos < len(src); pos++ {
		switch c := src[pos]; {
		case c == '+' || c == '-':
			h.chomp = c
			continue
		case c >= '1' && c <= '9':
			h.increment = int(c - '0')
			continue
		}
		break
	}
	for pos < len(src) && breakLength(src[pos:]) == 0 {
		pos++
	}
	h.body = pos + breakLength(src[pos:])
	return h
}

// firstTextIndent is the number of spaces before the first line that holds more than spaces, or the longest run of spaces
// before it if that is more.
func firstTextIndent(src string, pos int) int {
	longest := 0
	for {
		spaces := len(src[pos:]) - len(strings.TrimLeft(src[pos:], " "))
		longest = max(longest, spaces)
		pos += spaces
		n := breakLength(src[pos:])
		if n == 0 {
			return longest
		}
		pos += n
	}
}

// indentCandidates lists the indentations to try. With an indicator the text starts increment columns right of a
// collection that itself starts anywhere up to the first text.
func indentCandidates(increment, first int) []int {
	const most = 1024
	if increment == 0 {
		candidates := []int{max(first, 1)}
		for indent := first + 1; indent <= first+2 && indent < most; indent++ {
			candidates = append(candidates, indent)
		}
		return append(candidates, most*most)
	}
	var candidates []int
	for indent := increment; indent <= max(first, increment) && len(candidates) < most; indent++ {
		candidates = append(candidates, indent)
	}
	return append(candidates, most*most)
}

// block reads the lines of a block scalar that are indented by at least indent.
func (t *tracer) block(indent int, folded bool, chomp byte) {
	leading := -1
	trailing, column := t.blockBreaks(indent)
	afterBlank := false
	for column == indent && t.pos < len(t.src) && !t.failed {
		blank := t.blank()
		switch {
		case folded && !afterBlank && !blank && leading >= 0 && t.breakRune(leading) == '\n':
			if len(trailing) == 0 {
				t.emit(' ', leading)
			}
		case leading >= 0:
			t.emit(t.breakRune(leading), leading)
		}
		t.emitBreaks(trailing)
		afterBlank = blank
		for t.pos < len(t.src) && t.atBreak() == 0 && !t.failed {
			t.copy()
		}
		leading = -1
		if n := t.atBreak(); n > 0 {
			leading = t.pos
			t.pos += n
		}
		trailing, column = t.blockBreaks(indent)
	}
	if chomp != '-' && leading >= 0 {
		t.emit(t.breakRune(leading), leading)
	}
	if chomp == '+' {
		t.emitBreaks(trailing)
	}
}

// blockBreaks skips indentation and collects the breaks of empty lines; column is where it stopped.
func (t *tracer) blockBreaks(indent int) (breaks []int, column int) {
	for {
		for t.pos < len(t.src) && t.src[t.pos] == ' ' && column < indent {
			t.pos++
			column++
		}
		n := t.atBreak()
		if n == 0 {
			return breaks, column
		}
		breaks = append(breaks, t.pos)
		t.pos += n
		column = 0
	}
}
