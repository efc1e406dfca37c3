package diag

import (
	"slices"
	"strings"
	"unicode"
)

const (
	// maxWord is the longest word, or text in quotes, that a message shows whole; of others it shows the head and the tail.
	maxWord, wordHead, wordTail = 120, 80, 20
	// maxMessage and maxRemark are the most runes of a message, and of a hint or note.
	maxMessage, maxRemark = 400, 1200
)

// printed are the findings as they are printed: sorted, and short enough to be read.
func (l *List) printed() []Finding {
	all := l.All()
	for i := range all {
		f := &all[i]
		f.Message, f.Hint, f.Note = brief(f.Message, maxMessage), brief(f.Hint, maxRemark), brief(f.Note, maxRemark)
	}
	return all
}

// brief leaves out the middle of long words and of long texts in quotes, and of the whole when it is still too long.
func brief(text string, most int) string {
	if len(text) <= maxWord {
		return text
	}
	runes := []rune(text)
	var out []rune
	for len(runes) > 0 {
		n := span(runes)
		out = append(out, cut(runes[:n], maxWord, wordHead, wordTail)...)
		runes = runes[n:]
	}
	return string(cut(out, most, most-most/4, most/8))
}

// span is the length of the text in quotes, the word, or the rune that a text begins with. A quote that is never closed is a rune.
func span(text []rune) int {
	if q := text[0]; strings.ContainsRune("\"'`", q) {
		for i := 1; i < len(text); i++ {
			switch {
			case text[i] == '\\' && q == '"':
				i++
			case text[i] == q:
				return i + 1
			}
		}
		return 1
	}
	end := slices.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '`' })
	switch {
	case end < 0:
		return len(text)
	case end == 0:
		return 1
	}
	return end
}

func cut(text []rune, most, head, tail int) []rune {
	if len(text) <= most {
		return text
	}
	return slices.Concat(text[:head], []rune("…"), text[len(text)-tail:])
}
