package yamldoc

import (
	"strings"

	"github.com/millstream/millstream/pipelines/diag"
)

// plainComplaint says in plain words what the parser's complaint about a line means, when no known trap is in the line.
func plainComplaint(text string, from, to int, e *syntaxError) trap {
	start, end := trimmedLine(text, from, to)
	t := trap{start: start, end: end, from: -1, code: diag.BadYAML, message: "this line is not valid YAML here",
		hint: "check the quotes, brackets and indentation of this line and the one above it"}
	switch {
	case strings.Contains(e.message, "could not find expected ':'"):
		t.start, t.end = keyLine(text, from, start, end)
		t.code, t.message, t.hint = diag.MissingColon, "this line has no key", "write key: value"
	case strings.Contains(e.message, "tab character"):
		t.start = from + max(strings.IndexByte(text[from:to], '\t'), 0)
		t.end = t.start + 1
		t.code, t.message, t.hint = diag.TabIndentation, "a tab stands where YAML wants spaces", "indent with spaces"
	case strings.Contains(e.message, "did not find expected key"), strings.Contains(e.message, "did not find expected '-' indicator"),
		strings.Contains(e.message, "mapping values are not allowed"), strings.Contains(e.message, "block sequence entries"):
		t.code, t.message = diag.BadIndentation, "this line does not fit the lines above it"
		t.hint = "indent it like the keys or dashes it stands beside; an expression with quotes or colons wants a | block"
	case strings.Contains(e.message, "<document start>"):
		t.message, t.hint = "text stands behind the end of the document", "indent it, or remove it"
	case strings.Contains(e.message, "directive"), strings.Contains(e.message, "version"), strings.Contains(e.message, "YAML document"):
		t.message, t.hint = "this is not a YAML directive the reader knows", "remove the line"
	case strings.Contains(e.message, "tag"):
		t.code, t.message, t.hint = diag.YAMLTag, "the sign ! starts a YAML tag, and this is none", "a text that starts with ! needs quotes"
	}
	return t
}

// trimmedLine returns the bounds of a line's text without the blanks around it.
func trimmedLine(text string, from, to int) (start, end int) {
	line := strings.TrimRight(text[from:to], " \t\r\n")
	start = from + len(line) - len(strings.TrimLeft(line, " \t"))
	return start, from + len(line)
}

// keyLine finds the line without a colon: the one at hand, or the last one with text above it, since the parser misses a
// colon only when the next key comes.
func keyLine(text string, from, start, end int) (int, int) {
	if !strings.Contains(text[start:end], ":") {
		return start, end
	}
	for from > 0 {
		above := strings.LastIndexByte(text[:from-1], '\n') + 1
		s, e := trimmedLine(text, above, from)
		if e > s && text[s] != '#' {
			return s, e
		}
		from = above
	}
	return start, end
}
