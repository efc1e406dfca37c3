package yamldoc

import (
	"strings"

	"github.com/millstream/millstream/pipelines/diag"
)

// quoted reads a quoted text from its opening quote.
func (f *trapFinder) quoted(quote byte) {
	start := f.pos
	f.pos++
	for f.pos < len(f.src) {
		switch c := f.src[f.pos]; {
		case c == '\\' && quote == '"':
			f.escape()
			continue
		case c == quote && quote == '\'' && strings.HasPrefix(f.src[f.pos:], "''"):
			f.pos++
		case c == quote:
			f.pos++
			return
		}
		f.pos++
	}
	f.add(trap{start: start, end: start + 1, code: diag.UnclosedQuote, from: -1,
		message: "this quote is never closed", hint: "close it with " + string(quote)})
}

// escape reads a backslash sequence of a double-quoted text.
func (f *trapFinder) escape() {
	at := f.pos
	f.pos = min(at+2, len(f.src))
	if f.pos < at+2 || f.src[at+1] == '\n' || f.src[at+1] == '\r' {
		return
	}
	sign := f.src[at+1]
	end := min(f.pos+hexDigits(sign), len(f.src))
	if _, known := simpleEscapes[sign]; known || hexDigits(sign) > 0 && allHex(f.src[f.pos:end]) {
		return
	}
	f.add(trap{start: at, end: at + 2, code: diag.BadEscape, from: at, to: at,
		message: "YAML knows no such backslash sequence in double quotes",
		hint:    `write two backslashes, or use single quotes, which keep backslashes`})
}

func allHex(text string) bool {
	return strings.Trim(text, "0123456789abcdefABCDEF") == ""
}

// brackets reads a flow list or mapping from its opening bracket to the matching one, inner ones included.
func (f *trapFinder) brackets() {
	var open []int
	for f.pos < len(f.src) {
		switch c := f.src[f.pos]; {
		case c == '[' || c == '{':
			open = append(open, f.pos)
			f.pos++
		case c == ']' || c == '}':
			open = open[:len(open)-1]
			f.pos++
			if len(open) == 0 {
				return
			}
			f.afterInner(diag.FlowExpression)
		case c == '"' || c == '\'':
			f.quoted(c)
			f.afterInner(diag.TextAfterQuote)
		case (c == '*' || c == '&') && f.badMark(f.pos) && strings.IndexByte(" \t\r\n,[{:", f.src[f.pos-1]) >= 0:
			f.add(trap{start: f.pos, end: f.flowTextEnd(), code: diag.YAMLAnchor, from: f.pos, to: f.pos,
				message: "an unquoted text cannot start with " + string(c) + ", which makes it an anchor or alias of YAML", hint: hintBlock})
			f.pos++
		case c == '*':
			f.alias()
		case c == '#' && f.blankAt(f.pos-1):
			f.pos = f.lineEnd()
		case strings.IndexByte(" \t\r\n,:", c) >= 0:
			f.pos++
		default:
			f.flowPlain()
		}
	}
	last := open[len(open)-1]
	f.add(trap{start: last, end: last + 1, code: diag.UnclosedBracket, from: -1,
		message: "this bracket is never closed", hint: "close it with " + closing(f.src[last])})
}

func closing(open byte) string {
	if open == '[' {
		return "]"
	}
	return "}"
}

// afterInner finds text behind a quoted text or a bracket that is itself inside brackets.
func (f *trapFinder) afterInner(code diag.Code) {
	f.skipBlanks()
	c := f.peek()
	if c == 0 || strings.IndexByte("\n,:]}", c) >= 0 || c == '#' && f.blankAt(f.pos-1) {
		return
	}
	f.add(trap{start: f.pos, end: f.flowTextEnd(), code: code, from: f.pos, to: f.pos,
		message: "text stands behind a closed quote or bracket", hint: "write expressions in block style, one key a line"})
}

// flowTextEnd is where the text at the current place ends, for marking it.
func (f *trapFinder) flowTextEnd() int {
	end := min(f.pos+1, len(f.src))
	for most := min(f.pos+mostMarked, len(f.src)); end < most && strings.IndexByte("\n,]}", f.src[end]) < 0; {
		end++
	}
	return trimmedEnd(f.src, f.pos, end)
}

// mostMarked bounds how much of a text is marked, so that a megabyte of quotes is not read again for each of them.
const mostMarked = 200

// flowPlain reads an unquoted text inside brackets, where commas and brackets end it.
func (f *trapFinder) flowPlain() {
	start := f.pos
	for f.pos < len(f.src) && strings.IndexByte("\n,[]{}?", f.src[f.pos]) < 0 {
		if f.src[f.pos] == ':' && f.blankAt(f.pos+1) || f.src[f.pos] == '#' && f.blankAt(f.pos-1) {
			return
		}
		f.pos++
	}
	switch c := f.peek(); {
	case c == '{' && f.pos > start && f.src[f.pos-1] == '$':
		line, _, _ := strings.Cut(f.src[f.pos-1:min(f.pos+mostVariable, len(f.src))], "\n")
		length, _ := variableLength(line)
		f.add(trap{start: f.pos - 1, end: f.pos - 1 + length, code: diag.UnquotedVar, from: start, to: start,
			message: "a variable inside brackets needs quotes", hint: `write "` + f.src[f.pos-1:f.pos-1+length] + `"`})
	case c == '?':
		f.pos++
		if f.pos-1 > start {
			f.addFlow(start, "?")
		}
	case c == '[' || c == '{':
		f.addFlow(start, string(c))
	}
}

// mostVariable bounds how much of an unquoted variable is shown.
const mostVariable = 200

func (f *trapFinder) addFlow(start int, sign string) {
	f.add(trap{start: start, end: f.flowTextEnd(), code: diag.FlowExpression, from: start, to: start,
		message: "inside {…} and […] the sign " + sign + " ends an unquoted text",
		hint:    "write expressions in block style, one key a line, or put this one in quotes"})
}
