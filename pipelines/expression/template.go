package expression

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// Template is a literal with {{ expr }} in it. It is immutable and safe for concurrent use.
type Template struct {
	text     string
	parts    []templatePart
	constant string
	isConst  bool
}

// templatePart is literal text, or an expression where program is set.
type templatePart struct {
	text    string
	program *Program
}

// CompileTemplate takes a literal apart. The braces and strings of the expressions inside are understood. A nil Template comes with at
// least one Problem; positions are those of text.
func CompileTemplate(text string, s *Scope) (*Template, []Problem) {
	t := &Template{text: text}
	if len(text) > maxText && strings.Contains(text, "{{") {
		return nil, []Problem{{Code: "expression-too-long", Message: fmt.Sprintf("a literal with expressions has %d bytes; %d are allowed",
			len(text), maxText), Hint: "make the text in a transform, from parts"}}
	}
	var problems []Problem
	rest, at := text, 0 // at: rune offset of rest
	for {
		before, after, found := strings.Cut(rest, "{{")
		t.literal(before)
		if !found {
			break
		}
		at += utf8.RuneCountInString(before) + 2
		end := closing(after)
		if end < 0 {
			return nil, append(problems, Problem{From: at - 2, To: at, Code: "template-open", Message: "{{ is never closed", Hint: "close it with }}"})
		}
		inner := after[:end]
		trimmed := strings.TrimLeft(inner, " \t\r\n")
		shift := at + utf8.RuneCountInString(inner[:len(inner)-len(trimmed)])
		p, bad := Compile(strings.TrimRight(trimmed, " \t\r\n"), s, WantText)
		for _, b := range bad {
			if b.From == 0 && b.To == 0 {
				b.To = utf8.RuneCountInString(strings.TrimSpace(trimmed))
			}
			b.From, b.To = b.From+shift, b.To+shift
			problems = append(problems, b)
		}
		t.add(p)
		rest = after[end+2:]
		at += utf8.RuneCountInString(inner) + 2
	}
	if len(problems) > 0 {
		return nil, problems
	}
	t.isConst = len(t.parts) == 0 || len(t.parts) == 1 && t.parts[0].program == nil
	t.constant = t.Prefix()
	return t, nil
}

// literal adds text, to a literal before it if there is one.
func (t *Template) literal(text string) {
	if text == "" {
		return
	}
	if n := len(t.parts); n > 0 && t.parts[n-1].program == nil {
		t.parts[n-1].text += text
		return
	}
	t.parts = append(t.parts, templatePart{text: text})
}

func (t *Template) add(p *Program) {
	if p == nil {
		return
	}
	if v, ok := p.Constant(); ok {
		if text, err := appendText(nil, v); err == nil {
			t.literal(string(text))
			return
		}
	}
	t.parts = append(t.parts, templatePart{program: p})
}

// closing is where the }} that ends an expression stands: not inside its strings, comments or brackets.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"', '\'', '`':
			end := stringEnd(s[i:])
			if end < 0 {
				return -1
			}
			i += end
		case '{':
			depth++
		case '}':
			if depth == 0 {
				if strings.HasPrefix(s[i:], "}}") {
					return i
				}
				continue
			}
			depth--
		}
	}
	return -1
}

// stringEnd is the offset of the quote that ends the string s starts with.
func stringEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] != '`':
			i++
		case s[i] == s[0]:
			return i
		}
	}
	return -1
}

// Text is the template as written.
func (t *Template) Text() string { return t.text }

// Constant gives the text of a template that reads nothing.
func (t *Template) Constant() (string, bool) { return t.constant, t.isConst }

// Prefix is the literal text before the first expression: what the message cannot change.
func (t *Template) Prefix() string {
	if len(t.parts) == 0 || t.parts[0].program != nil {
		return ""
	}
	return t.parts[0].text
}

// RenderEach is Render with a say in how the text that an expression gives is written: write appends it to dst, which holds all before it.
func (t *Template) RenderEach(m *flow.Message, dst []byte, write func(dst, text []byte) []byte) ([]byte, error) {
	for i := range t.parts {
		p := &t.parts[i]
		if p.program == nil {
			dst = append(dst, p.text...)
			continue
		}
		v, err := p.program.Eval(m)
		if err != nil {
			return dst, err
		}
		text, err := appendText(nil, v)
		if err != nil {
			return dst, err
		}
		dst = write(dst, text)
	}
	return dst, nil
}

// Render appends the text for m to dst. Errors are those of Program.Eval.
func (t *Template) Render(m *flow.Message, dst []byte) ([]byte, error) {
	for i := range t.parts {
		var err error
		if dst, err = t.parts[i].render(m, dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (p *templatePart) render(m *flow.Message, dst []byte) ([]byte, error) {
	if p.program == nil {
		return append(dst, p.text...), nil
	}
	v, err := p.program.Eval(m)
	if err != nil {
		return dst, err
	}
	return appendText(dst, v)
}

// appendText writes a value that WantText let pass: strings as they are, everything else as in JSON but without quotes.
func appendText(dst []byte, v value.Value) ([]byte, error) {
	if v.Kind() == value.KindString {
		return append(dst, v.Str()...), nil
	}
	text, err := toText(&newRun().call, []any{v.Box()})
	if err != nil {
		return dst, flow.Errorf(flow.Permanent, flow.CodeExpression, "%w", err)
	}
	return append(dst, text.(string)...), nil
}
