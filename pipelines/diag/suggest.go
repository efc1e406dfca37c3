package diag

import "strings"

// Suggest returns the candidate that word was probably meant to be, or "" when none is near. A candidate that differs
// only in case wins; otherwise the nearest by edits (insert, delete, replace, swap of neighbours) within two edits or a
// third of the word's length, whichever is more, but never so many that nothing of the word would remain. Of equally
// near ones the first wins.
func Suggest(word string, candidates []string) string {
	if word == "" {
		return ""
	}
	for _, c := range candidates {
		if strings.EqualFold(c, word) {
			return c
		}
	}
	target := []rune(strings.ToLower(word))
	if len(target) > maxSuggestLength {
		return ""
	}
	best, nearest := "", min(max(2, len(target)/3), len(target)-1)+1
	for _, c := range candidates {
		other := []rune(strings.ToLower(c))
		if d := len(other) - len(target); d >= nearest || -d >= nearest {
			continue
		}
		if d := editDistance(target, other); d < nearest && d < len(other) {
			best, nearest = c, d
		}
	}
	return best
}

// maxSuggestLength bounds the quadratic comparison; no name of the language is longer.
const maxSuggestLength = 128

// editDistance is the optimal string alignment form of the Damerau-Levenshtein distance.
func editDistance(a, b []rune) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			replace := previous[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			current[j] = min(previous[j]+1, current[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
