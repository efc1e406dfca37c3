package transport

import "strings"

// LooksLikePath tells whether a literal reads like a path of a message that was meant to be evaluated.
func LooksLikePath(text string) bool {
	for _, root := range []string{"body.", "meta.", "tmp.", "source.", "vars.", "body[", "meta["} {
		if strings.HasPrefix(text, root) {
			return true
		}
	}
	return text == "body" || text == "key"
}
