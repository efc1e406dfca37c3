package yamldoc

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/millstream/millstream/pipelines/diag"
)

// Text is a scalar after its variables are replaced. Positions in it lead to the file as those of the Scalar it was.
type Text struct {
	Scalar
	// Tainted tells that a secret variable or a file went into the text: it must not be shown.
	Tainted bool
	// Replaced tells that the text held at least one variable.
	Replaced bool
	// Undefined tells that a variable was undefined and Context.AllowUndefined let it pass.
	Undefined bool

	// secretAt and secretWidth are the runes of the source that the first secret came from.
	secretAt, secretWidth int
}

// Shown is the text for messages: quoted, a secret one as ***.
func (t *Text) Shown() string {
	if t.Tainted {
		return "***"
	}
	return fmt.Sprintf("%q", t.Scalar.Text)
}

// Interpolate returns the text of a scalar with ${…} replaced, for fields that are literals. ok is false when a finding
// was added: the value is no scalar, a variable is undefined, a file unreadable, ${…} malformed, or a secret, where the field that is
// being decoded does not take one.
func (c *Context) Interpolate(v *Value) (text Text, ok bool) {
	text, ok = c.InterpolateSecret(v)
	return text, ok && c.shown(&text, v)
}

// shown adds a finding when a text that is shown or sent in clear holds a secret.
func (c *Context) shown(text *Text, v *Value) bool {
	if !text.Tainted || c.secretsAllowed {
		return true
	}
	s := v.Scalar()
	c.Findings.Add(s.Finding(diag.SecretShown, text.secretAt, text.secretWidth, "no secret may be in "+v.subject()+": it is shown, or sent in clear",
		"secrets belong into fields that are never shown, such as a password; if this is none, do not declare it secret"))
	return false
}

// InterpolateSecret is Interpolate for a place that takes secrets: the caller looks at Tainted, and does not show what is.
func (c *Context) InterpolateSecret(v *Value) (text Text, ok bool) {
	if v.Broken() {
		return Text{}, false
	}
	if v.Kind() != KindScalar {
		c.WrongType(v, "a text")
		return Text{}, false
	}
	return c.InterpolateScalar(v.Scalar())
}

// InterpolateScalar is InterpolateSecret for a scalar in hand.
func (c *Context) InterpolateScalar(s Scalar) (text Text, ok bool) {
	if !strings.Contains(s.Text, "${") {
		return Text{Scalar: s}, true
	}
	r := replacer{context: c, source: s, good: true}
	r.run()
	text = Text{Scalar: s, Tainted: r.tainted, Replaced: r.replaced, Undefined: r.undefined, secretAt: r.secretAt, secretWidth: r.secretWidth}
	text.Scalar.Text, text.offsets = r.out.String(), r.offsets
	if text.offsets == nil {
		text.offsets = []int{}
	}
	return text, r.good
}

// replacer builds the text after interpolation, and for each of its runes where it came from.
type replacer struct {
	context                      *Context
	source                       Scalar
	pos, runes                   int
	out                          strings.Builder
	offsets                      []int
	tainted, replaced, undefined bool
	secretAt, secretWidth        int
	good                         bool
}

func (r *replacer) run() {
	for r.pos < len(r.source.Text) {
		rest := r.source.Text[r.pos:]
		switch {
		case strings.HasPrefix(rest, "$${"):
			r.skip(1)
			r.keep(2)
		case strings.HasPrefix(rest, "${"):
			r.variable(rest)
		default:
			r.keep(1)
		}
	}
}

// keep copies runes of the source.
func (r *replacer) keep(runes int) {
	for ; runes > 0; runes-- {
		char, size := utf8.DecodeRuneInString(r.source.Text[r.pos:])
		r.write(string(char))
		r.pos += size
		r.runes++
	}
}

func (r *replacer) skip(runes int) {
	for ; runes > 0; runes-- {
		_, size := utf8.DecodeRuneInString(r.source.Text[r.pos:])
		r.pos += size
		r.runes++
	}
}

// write appends text that came from the current place of the source.
func (r *replacer) write(text string) {
	at, _ := r.source.sourceOffset(r.runes)
	for range text {
		r.offsets = append(r.offsets, at)
	}
	r.out.WriteString(text)
}

var variableForm = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)((?s:.*)))?$`)

func (r *replacer) variable(rest string) {
	length, closed := variableLength(rest)
	written, before := rest[:length], r.tainted
	runes := utf8.RuneCountInString(written)
	r.replaced = true
	value, problem := "", r.bad(runes, fmt.Sprintf("%s is not closed", written), "write ${NAME}; a literal ${ is $${")
	if closed {
		value, problem = r.resolve(written, runes)
	}
	if problem != nil {
		r.context.Findings.Add(*problem)
		r.good = false
	}
	if r.tainted && !before {
		r.secretAt, r.secretWidth = r.runes, runes
	}
	r.write(value)
	r.skip(runes)
}

// variableLength is the length of the ${…} at the start of text, inner braces understood.
func variableLength(text string) (length int, closed bool) {
	depth := 0
	for i, char := range text {
		switch char {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(text), false
}

func (r *replacer) bad(runes int, message, hint string) *diag.Finding {
	f := r.source.Finding(diag.BadVariable, r.runes, runes, message, hint)
	return &f
}

func (r *replacer) resolve(written string, runes int) (string, *diag.Finding) {
	inner := written[2 : len(written)-1]
	if path, ok := strings.CutPrefix(inner, "file:"); ok {
		return r.file(path, runes)
	}
	m := variableForm.FindStringSubmatch(inner)
	if m == nil || strings.Contains(m[3], "${") {
		return "", r.bad(runes, fmt.Sprintf("%s is not a variable", written),
			"write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:path}; a literal ${ is $${")
	}
	name, operator, operand := m[1], m[2], m[3]
	value, set := "", false
	if r.context.Env != nil {
		value, set = r.context.Env.Lookup(name)
	}
	if r.context.Secret != nil && r.context.Secret(name) {
		r.taint(value)
	}
	switch {
	case set && (value != "" || operator == ""):
		return value, nil
	case operator == ":-":
		return operand, nil
	case r.context.AllowUndefined:
		r.undefined = true
		return name, nil // something has to stand there: a name that is empty is refused
	}
	hint := fmt.Sprintf("set it in the environment, or write a default: ${%s:-…}", name)
	message := fmt.Sprintf("the variable %s is not defined", name)
	if operator == ":?" {
		message, hint = fmt.Sprintf("the variable %s is not set", name), operand
	}
	f := r.source.Finding(diag.UndefinedVariable, r.runes, runes, message, hint)
	return "", &f
}

// file reads a secret file; one line end at its end is not part of the secret.
func (r *replacer) file(path string, runes int) (string, *diag.Finding) {
	if path == "" {
		return "", r.bad(runes, "${file:} names no file", "write ${file:path}")
	}
	if r.context.ReadFile == nil {
		f := r.source.Finding(diag.UnreadableSecret, r.runes, runes, "files are not read here", "use a variable: ${NAME}")
		return "", &f
	}
	value, err := r.context.ReadFile(path)
	switch {
	case err != nil && r.context.AllowUndefined:
		r.tainted, r.undefined = true, true
		return "", nil
	case err != nil:
		f := r.source.Finding(diag.UnreadableSecret, r.runes, runes, fmt.Sprintf("cannot read %s: %v", path, err),
			"the path is relative to the pipeline file")
		return "", &f
	}
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	r.taint(value)
	return value, nil
}

func (r *replacer) taint(value string) {
	r.tainted = true
	r.context.KeepSecret(value)
}

// onlyVariable tells whether a text is one ${…} and nothing else.
func onlyVariable(text string) bool {
	length, closed := variableLength(text)
	return strings.HasPrefix(text, "${") && closed && length == len(text)
}

// FindVariable returns where the first ${…} of a text is, in runes, and how long; ok is false when there is none.
// The literal $${ does not count.
func FindVariable(text string) (runeOffset, width int, ok bool) {
	for i := 0; ; {
		at := strings.Index(text[i:], "${")
		if at < 0 {
			return 0, 0, false
		}
		at += i
		if at > 0 && text[at-1] == '$' {
			i = at + 2
			continue
		}
		length, _ := variableLength(text[at:])
		return utf8.RuneCountInString(text[:at]), utf8.RuneCountInString(text[at : at+length]), true
	}
}
