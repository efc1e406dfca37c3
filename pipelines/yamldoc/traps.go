package yamldoc

import (
	"strings"

	"github.com/millstream/millstream/pipelines/diag"
)

// trap is a place where the text breaks YAML's rules in a way people run into, most often because an expression holds a sign
// that YAML takes for its own.
type trap struct {
	start, end    int
	code          diag.Code
	message, hint string
	// from and to bound the value that can be left out to read on behind the trap; from is -1 when nothing can.
	from, to int
}

const hintBlock = "write the text in a | block, or put all of it in quotes"

// trapFinder reads a text that the parser refused, token by token, loosely: it knows where quotes, brackets, comments and
// block scalars begin and end, and notes what cannot stand where it does. What it notes is used only in the line that the
// parser stumbled over.
type trapFinder struct {
	src   string
	pos   int
	traps []trap
	// begin is the start of the line that searched is in.
	begin, searched int
	// aliases notes where each alias is used first.
	aliases map[string]int
	// column is that of the key or dash which the current value belongs to; inValue tells that there is one in this line.
	column  int
	inValue bool
	// textColumn is the column of what an unquoted text belongs to that may go on in the next line, -1 without one.
	textColumn int
	// commentAt is the place of the comment that ended that text, -1 without one.
	commentAt int
}

func findTraps(src string) *trapFinder {
	f := &trapFinder{src: src, aliases: map[string]int{}, textColumn: -1, commentAt: -1}
	for f.pos < len(src) {
		f.line()
	}
	return f
}

// mostTraps bounds what is remembered of a file that is nothing but traps.
const mostTraps = 20_000

func (f *trapFinder) add(t trap) {
	if len(f.traps) >= mostTraps {
		return
	}
	if t.from >= 0 && !f.inValue {
		t.from = -1
	}
	f.traps = append(f.traps, t)
}

func (f *trapFinder) peek() byte {
	if f.pos < len(f.src) {
		return f.src[f.pos]
	}
	return 0
}

// lineStart is the start of the current line. It only looks at what has been read since it was asked last.
func (f *trapFinder) lineStart() int {
	if i := strings.LastIndexByte(f.src[f.searched:f.pos], '\n'); i >= 0 {
		f.begin = f.searched + i + 1
	}
	f.searched = f.pos
	return f.begin
}

func (f *trapFinder) lineEnd() int { return endOfLine(f.src, f.pos) }

func endOfLine(src string, pos int) int {
	if i := strings.IndexByte(src[pos:], '\n'); i >= 0 {
		pos += i
	} else {
		pos = len(src)
	}
	return pos
}

func (f *trapFinder) nextLine() { f.pos = min(f.lineEnd()+1, len(f.src)) }

func (f *trapFinder) skipBlanks() {
	for f.peek() == ' ' || f.peek() == '\t' || f.peek() == '\r' {
		f.pos++
	}
}

// blankAt tells whether a blank, a line end or the end of the text is at pos.
func (f *trapFinder) blankAt(pos int) bool {
	return pos >= len(f.src) || strings.IndexByte(" \t\r\n", f.src[pos]) >= 0
}

// line reads one line of block style from its start; quoted texts, brackets and block scalars take it further.
func (f *trapFinder) line() {
	start := f.pos
	for f.peek() == ' ' {
		f.pos++
	}
	indent := f.pos - start
	if f.peek() == '\t' {
		f.tab()
	}
	f.skipBlanks()
	switch {
	case f.peek() == '\n' || f.peek() == 0:
		f.nextLine()
		return
	case f.peek() == '#' || indent == 0 && (strings.HasPrefix(f.src[f.pos:], "---") || f.peek() == '%'):
		f.textColumn = -1
		f.nextLine()
		return
	case f.textColumn >= 0 && indent > f.textColumn:
		f.moreText()
		return
	}
	f.column, f.inValue, f.textColumn = -1, false, -1
	f.tokens()
}

func (f *trapFinder) tab() {
	at := f.pos
	f.pos++
	f.skipBlanks()
	if f.peek() != '\n' && f.peek() != 0 && f.textColumn < 0 {
		f.add(trap{start: at, end: at + 1, code: diag.TabIndentation, message: "a tab indents this line", hint: "indent with spaces", from: -1})
	}
}

// moreText reads a line that continues an unquoted text.
func (f *trapFinder) moreText() {
	if f.commentAt >= 0 {
		f.add(trap{start: f.commentAt, end: trimmedEnd(f.src, f.commentAt, endOfLine(f.src, f.commentAt)), code: diag.CommentCut,
			from: -1, message: "the space and # start a comment, which ends the text before this line's continuation",
			hint: "write the comment in a line of its own, or the text in a | block"})
		f.textColumn = -1
		f.nextLine()
		return
	}
	if at, found := f.colon(); found {
		f.add(trap{start: at, end: at + 1, code: diag.BadIndentation, from: -1,
			message: "this line continues the text above it, so it cannot hold a key",
			hint:    "indent it like the key it stands beside; a text with a colon and a space needs quotes or a | block"})
	}
	f.nextLine()
}

// colon looks in the rest of the line, up to a comment, for a colon that ends a key.
func (f *trapFinder) colon() (at int, found bool) {
	for i, end := f.pos, f.lineEnd(); i < end; i++ {
		switch {
		case f.src[i] == '#' && i > 0 && f.blankAt(i-1):
			return 0, false
		case f.src[i] == ':' && f.blankAt(i+1):
			return i, true
		}
	}
	return 0, false
}

// comment returns where the rest of the line has a comment, -1 when it has none.
func (f *trapFinder) comment() int {
	for i, end := f.pos, f.lineEnd(); i < end; i++ {
		if f.src[i] == '#' && i > 0 && f.blankAt(i-1) {
			return i
		}
	}
	return -1
}

// tokens reads dashes, keys and a value until the line ends.
func (f *trapFinder) tokens() {
	for {
		f.skipBlanks()
		switch c := f.peek(); {
		case c == 0 || c == '\n' || c == '#':
			f.nextLine()
			return
		case (c == '-' || c == '?') && f.blankAt(f.pos+1):
			if !f.dash() {
				return
			}
		case c == '&' && f.badMark(f.pos):
			f.noMark()
			return
		case c == '&' || c == '!':
			f.pos = wordEnd(f.src, f.pos)
		case c == '*' && f.badMark(f.pos):
			f.noMark()
			return
		case c == '*':
			if !f.aliasValue() {
				return
			}
		case c == '|' || c == '>':
			f.blockScalar()
			return
		case c == '"' || c == '\'' || c == '[' || c == '{':
			if !f.closed(c) {
				return
			}
		case c == '@' || c == '`' || c == '%':
			f.add(trap{start: f.pos, end: f.pos + 1, code: diag.ReservedSign, from: f.pos, to: f.lineEnd(),
				message: "an unquoted text cannot start with " + string(c), hint: hintBlock})
			f.nextLine()
			return
		default:
			if !f.plain() {
				return
			}
		}
	}
}

// dash reads a list dash or a ? and tells whether the line goes on.
func (f *trapFinder) dash() bool {
	if f.inValue && f.src[f.pos] == '-' && f.column >= 0 && f.keyBefore() {
		f.add(trap{start: f.pos, end: f.pos + 1, code: diag.BadIndentation, from: f.pos, to: f.lineEnd(),
			message: "a list cannot start behind a key in the same line", hint: "start it in the next line, or write [a, b]"})
		f.nextLine()
		return false
	}
	f.column, f.inValue = f.pos-f.lineStart(), true
	f.pos++
	return true
}

// keyBefore tells whether the value being read stands behind a key rather than a dash.
func (f *trapFinder) keyBefore() bool {
	return strings.HasSuffix(strings.TrimRight(f.src[f.lineStart():f.pos], " \t"), ":")
}

// badMark tells whether the & or * at pos is followed by what cannot be the name of an anchor.
func (f *trapFinder) badMark(pos int) bool {
	end := pos + 1
	for end < len(f.src) && (f.src[end] == '_' || f.src[end] == '-' || isAlphanumeric(f.src[end])) {
		end++
	}
	return end == pos+1 || !f.blankAt(end) && strings.IndexByte(",]}:", f.src[end]) < 0
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// noMark notes a text that starts with & or *, up to the end of the line.
func (f *trapFinder) noMark() {
	what := "an anchor"
	if f.peek() == '*' {
		what = "an alias"
	}
	f.add(trap{start: f.pos, end: trimmedEnd(f.src, f.pos, f.lineEnd()), code: diag.YAMLAnchor, from: f.pos, to: f.lineEnd(),
		message: "an unquoted text cannot start with " + string(f.peek()) + ", which makes it " + what + " of YAML", hint: hintBlock})
	f.nextLine()
}

// aliasValue reads an alias, behind which nothing but a comment or a colon may stand, and tells whether the line goes on.
func (f *trapFinder) aliasValue() bool {
	start := f.pos
	f.alias()
	f.skipBlanks()
	if c := f.peek(); c == 0 || c == '\n' || c == ':' || c == '#' {
		if c == ':' {
			f.key(start)
		}
		return true
	}
	f.add(trap{start: start, end: trimmedEnd(f.src, start, f.lineEnd()), code: diag.YAMLAnchor, from: start, to: f.lineEnd(),
		message: "a text that starts with * is an alias, behind which nothing may stand", hint: hintBlock})
	f.nextLine()
	return false
}

func (f *trapFinder) alias() {
	end := f.pos + 1
	for end < len(f.src) && strings.IndexByte(" \t\r\n,[]{}", f.src[end]) < 0 {
		end++
	}
	if name := f.src[f.pos+1 : end]; name != "" {
		if _, seen := f.aliases[name]; !seen {
			f.aliases[name] = f.pos
		}
	}
	f.pos = end
}

// closed reads a quoted text or brackets and what may follow: the end of the line or the colon of a key. It tells whether the
// line goes on.
func (f *trapFinder) closed(open byte) bool {
	start, before := f.pos, len(f.traps)
	if open == '"' || open == '\'' {
		f.quoted(open)
	} else {
		f.brackets()
	}
	for i := before; i < len(f.traps); i++ {
		if f.traps[i].from >= 0 {
			f.traps[i].from, f.traps[i].to = start, max(f.pos, f.lineEnd())
		}
	}
	if f.pos >= len(f.src) {
		return false
	}
	f.skipBlanks()
	switch c := f.peek(); {
	case c == ':':
		f.key(start)
		return true
	case c == 0 || c == '\n':
		f.nextLine()
		return false
	case c == '#' && f.blankAt(f.pos-1):
		f.nextLine()
		return false
	case len(f.traps) > before:
		f.nextLine()
		return false
	}
	t := trap{start: f.pos, end: trimmedEnd(f.src, f.pos, f.lineEnd()), code: diag.TextAfterQuote, from: start, to: f.lineEnd(),
		message: "text stands behind a quoted text", hint: "YAML ends the value at the closing quote; " + hintBlock}
	if open == '[' || open == '{' {
		t.code, t.message = diag.TextAfterList, "text stands behind a closing bracket"
		t.hint = "YAML ends the value at the bracket; " + hintBlock
	}
	f.add(t)
	f.nextLine()
	return false
}

func trimmedEnd(src string, start, end int) int {
	return start + len(strings.TrimRight(src[start:end], " \t\r"))
}

// key passes over the colon of a key that starts at an offset.
func (f *trapFinder) key(start int) {
	f.column, f.inValue = max(start-f.lineStart(), 0), true
	f.pos++
}

// plain reads an unquoted text and tells whether it was a key.
func (f *trapFinder) plain() bool {
	start, behindKey := f.pos, f.inValue && f.keyBefore()
	at, found := f.colon()
	switch {
	case found && behindKey:
		f.add(trap{start: at, end: at + 1, code: diag.UnquotedColon, from: start, to: f.lineEnd(),
			message: "a colon and a space cannot stand in an unquoted text", hint: colonHint(f.src[start:f.lineEnd()])})
	case found:
		f.pos = at
		f.key(start)
		return true
	}
	f.textColumn, f.commentAt = max(f.column, 0), f.comment()
	if !f.inValue {
		f.textColumn = max(start-f.lineStart(), 0)
	}
	f.nextLine()
	return false
}

// colonHint says how to write a text with a colon in it: a ? b : c as an expression has another form.
func colonHint(text string) string {
	if strings.Contains(text, "?") {
		return "write if a { b } else { c } instead of a ? b : c, or use a | block"
	}
	return hintBlock
}

// blockScalar passes over a literal or folded text: the lines that are empty or indented more than what it belongs to.
func (f *trapFinder) blockScalar() {
	header := strings.TrimLeft(f.src[f.pos+1:f.lineEnd()], "+-0123456789")
	if rest := strings.TrimLeft(header, " \t\r"); rest != "" && (rest[0] != '#' || rest == header) {
		f.add(trap{start: f.pos, end: trimmedEnd(f.src, f.pos, f.lineEnd()), code: diag.ReservedSign, from: f.pos, to: f.lineEnd(),
			message: "an unquoted text cannot start with " + string(f.peek()) + ", which announces a block of text", hint: hintBlock})
	}
	f.nextLine()
	for f.pos < len(f.src) {
		line := f.src[f.pos:f.lineEnd()]
		text := strings.TrimLeft(line, " ")
		if strings.TrimSpace(text) != "" && len(line)-len(text) <= f.column {
			return
		}
		f.nextLine()
	}
}
