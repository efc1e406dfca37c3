package yamldoc

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
)

// Expression returns the text of a field that is an expression, as it is written: no variable is replaced, ${…} is a
// finding. The ways in which YAML takes a part of an expression for its own syntax are findings too: a comment that cuts it
// short, an anchor, a mapping or list in brackets. ok is false when a finding was added.
func (c *Context) Expression(v *Value) (text Scalar, ok bool) {
	if v.Broken() {
		return Scalar{}, false
	}
	comment, commentAt := v.comment()
	switch v.Kind() {
	case KindMapping, KindSequence:
		c.notAnExpression(v)
		return Scalar{}, false
	case KindNull:
		if comment != "" && v.key != nil {
			c.cutByComment(v, comment, commentAt)
			return Scalar{}, false
		}
		if name := v.node.Anchor; name != "" {
			c.anchored(v)
			return Scalar{}, false
		}
		c.WrongType(v, "an expression")
		return Scalar{}, false
	}
	text = v.Scalar()
	switch {
	case v.node.Anchor != "" && v.alias == "" && !v.doc.used[v.node]:
		c.anchored(v)
		return text, false
	case text.Style == StylePlain && comment != "" && unfinished(text.Text):
		c.cutByComment(v, comment, commentAt)
		return text, false
	}
	if at, width, found := FindVariable(text.Text); found {
		c.Findings.Add(text.Finding(diag.VariableInExpression, at, width, "variables are not replaced in expressions",
			"define it under vars: { name: \"${…}\" } and write vars.name"))
		return text, false
	}
	return text, true
}

func (c *Context) notAnExpression(v *Value) {
	start := v.doc.content(v.node)
	if v.Style() != StyleFlow {
		c.WrongType(v, "an expression")
		return
	}
	f := v.doc.at(start, v.doc.lines.lineEnd(start), diag.UnquotedBraces, "without quotes YAML reads this as "+v.describe(),
		"write the expression in a | block, or put it in single quotes")
	f.Note = aliasNote(v.alias)
	c.Findings.Add(f)
}

func (c *Context) anchored(v *Value) {
	start := v.doc.lines.offset(v.node.Line, v.node.Column)
	c.Findings.Add(v.doc.at(start, start+1+len(v.node.Anchor), diag.YAMLAnchor,
		"&"+v.node.Anchor+" is a YAML anchor, not part of the expression", "put the expression in a | block or in quotes"))
}

func (c *Context) cutByComment(v *Value, comment string, at int) {
	hint := "write the expression in a | block or in quotes"
	if strings.HasPrefix(comment, "# ") || strings.HasPrefix(comment, "#.") || strings.HasPrefix(comment, "#)") {
		hint = `write "it" for the element instead of #, or use a | block`
	}
	f := v.doc.at(at, at+len(comment), diag.CommentCut, "the space and # start a comment, which cuts the expression short", hint)
	f.Note = aliasNote(v.alias)
	c.Findings.Add(f)
}

// comment returns the comment behind a value on its last line, and where it starts.
func (v *Value) comment() (text string, at int) {
	var end int
	switch v.Kind() {
	case KindScalar:
		if v.Style() == StyleLiteral || v.Style() == StyleFolded {
			return "", 0
		}
		_, end = v.doc.extent(v.node)
	case KindNull:
		if v.key == nil || v.key.doc == nil {
			return "", 0
		}
		end = v.key.start + len(v.key.Text)
		if last := v.doc.lines.lineEnd(v.key.start); end <= last { // a key over several lines has no comment behind it
			if i := strings.IndexByte(v.doc.src[end:last], ':'); i >= 0 {
				end += i + 1
			}
		}
		end = min(end, len(v.doc.src))
	default:
		return "", 0
	}
	line := v.doc.src[end:max(end, v.doc.lines.lineEnd(end))]
	rest := strings.TrimLeft(line, " \t")
	if len(rest) == len(line) || !strings.HasPrefix(rest, "#") {
		return "", 0
	}
	return rest, end + len(line) - len(rest)
}

// unfinished tells whether an expression obviously goes on: open brackets or quotes, or an operator at its end.
func unfinished(text string) bool {
	depth, quote := 0, rune(0)
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			escaped = false
		case quote != 0 && r == '\\' && quote != '`':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r):
			depth--
		}
	}
	return depth > 0 || quote != 0 || endsInOperator(text)
}

func endsInOperator(text string) bool {
	text = strings.TrimRightFunc(text, unicode.IsSpace)
	last, _ := utf8.DecodeLastRuneInString(text)
	if strings.ContainsRune("+-*/%^=<>!&|?:,.", last) {
		return true
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return false
	}
	switch words[len(words)-1] {
	case "and", "or", "not", "in", "matches", "contains", "startsWith", "endsWith":
		return true
	}
	return false
}

// usedAnchors notes the nodes that an alias refers to.
func (d *Doc) usedAnchors(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		d.used[n.Alias] = true
		return
	}
	for _, child := range n.Content {
		d.usedAnchors(child)
	}
}
