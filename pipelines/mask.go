package pipelines

import (
	"slices"
	"strconv"
	"strings"
)

// mask hides secrets in texts. A nil one hides nothing.
type mask struct {
	replacer *strings.Replacer
	words    []string
}

// shortestMasked keeps words as short as "a" or "on" from being hidden wherever they stand.
const shortestMasked = 4

func newMask(secrets []string) *mask {
	var pairs []string
	secrets = slices.Clone(secrets)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one secret may be a part of another
	for _, s := range secrets {
		for _, line := range append([]string{s}, strings.Split(s, "\n")...) {
			if len(line) < shortestMasked {
				continue
			}
			pairs = append(pairs, line, "***")
			if quoted := strings.Trim(strconv.Quote(line), `"`); quoted != line {
				pairs = append(pairs, quoted, "***")
			}
		}
	}
	if pairs == nil {
		return nil
	}
	m := &mask{replacer: strings.NewReplacer(pairs...)}
	for i := 0; i < len(pairs); i += 2 {
		m.words = append(m.words, pairs[i])
	}
	return m
}

// in finds secrets in a line: where they begin and end.
func (m *mask) in(line string) [][2]int {
	var found [][2]int
	for at := 0; m != nil && at < len(line); {
		first, length := -1, 0
		for _, word := range m.words {
			if i := strings.Index(line[at:], word); i >= 0 && (first < 0 || i < first) {
				first, length = i, len(word)
			}
		}
		if first < 0 {
			break
		}
		found = append(found, [2]int{at + first, at + first + length})
		at += first + length
	}
	return found
}

func (m *mask) text(text string) string {
	if m == nil {
		return text
	}
	return m.replacer.Replace(text)
}
