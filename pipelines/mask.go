package pipelines

import (
	"slices"
	"strconv"
	"strings"
)

// mask hides secrets in texts. A nil one hides nothing.
type mask struct{ replacer *strings.Replacer }

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
	return &mask{strings.NewReplacer(pairs...)}
}

func (m *mask) text(text string) string {
	if m == nil {
		return text
	}
	return m.replacer.Replace(text)
}
