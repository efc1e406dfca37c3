package expression

import (
	"fmt"
	"strconv"
	"unicode"

	"github.com/millstream/millstream/flow/document"
)

// TargetKind says what part of the message a transform line writes.
type TargetKind uint8

// What can be written.
const (
	// TargetBody is body, or a path into it.
	TargetBody TargetKind = iota
	// TargetMeta is meta.name.
	TargetMeta
	// TargetTmp is tmp, or a path into it.
	TargetTmp
	// TargetKey is the record key.
	TargetKey
	// TargetTime is the event time.
	TargetTime
)

// Target is the left side of a transform line.
type Target struct {
	// Text is the target as written.
	Text string
	Kind TargetKind
	// Name is the header's name of a TargetMeta.
	Name string
	// Path is the path into body or tmp; empty is the whole.
	Path []document.Segment
	// Each is set when the path goes through [*]; Rest is what follows it. One [*] is the most.
	Each bool
	Rest []document.Segment
}

// ParseTarget reads the left side of a transform line. With problems the Target is not to be used.
func ParseTarget(text string) (Target, []Problem) {
	p := targetParser{src: []rune(text), target: Target{Text: text}}
	base := p.name()
	if base == "" {
		return p.target, []Problem{{Code: "bad-target", Message: "a line of transform begins with what it writes", Hint: targetHint}}
	}
	p.steps()
	if len(p.problems) == 0 {
		p.finish(base)
	}
	return p.target, p.problems
}

const targetHint = "body, body.a.b, body[\"a b\"], body.list[0].x, body.list[*].x, meta.x, tmp.x, key or time"

type targetParser struct {
	src      []rune
	at       int
	path     []document.Segment
	each     int // how many segments stood before [*]; -1 without
	eachAt   int
	target   Target
	problems []Problem
}

func (p *targetParser) fail(from, to int, code, message, hint string) {
	from, to = within(string(p.src), from, to)
	p.problems = append(p.problems, Problem{From: from, To: to, Code: code, Message: message, Hint: hint})
}

func (p *targetParser) name() string {
	from := p.at
	for p.at < len(p.src) {
		r := p.src[p.at]
		if r != '_' && !unicode.IsLetter(r) && (p.at == from || !unicode.IsDigit(r)) {
			break
		}
		p.at++
	}
	return string(p.src[from:p.at])
}

func (p *targetParser) steps() {
	p.each = -1
	for p.at < len(p.src) && len(p.problems) == 0 {
		from := p.at
		switch p.src[p.at] {
		case '.':
			p.at++
			p.member(from)
		case '[':
			p.at++
			p.bracket(from)
		case '?':
			p.fail(from, from+2, "bad-target", "?. has no place in a target: missing maps are made", "write .")
		default:
			p.fail(from, len(p.src), "bad-target", fmt.Sprintf("%q is no part of a target", string(p.src[from:])), targetHint)
		}
	}
}

func (p *targetParser) member(from int) {
	name := p.name()
	switch {
	case name == "":
		p.fail(from, len(p.src), "bad-target", "a name must follow the dot", `other names go into brackets: body["a b"]`)
	case p.at < len(p.src) && p.src[p.at] == '-':
		start := from + 1
		for p.at < len(p.src) && (p.src[p.at] == '-' || isWord(p.src[p.at])) {
			p.at++
		}
		p.fail(start, p.at, "dash-in-name", "a name with a dash goes into brackets", fmt.Sprintf("write %s[%q]", string(p.src[:from]), string(p.src[start:p.at])))
	default:
		p.path = append(p.path, document.Segment{Name: name})
	}
}

func (p *targetParser) bracket(from int) {
	end := p.at
	if p.at < len(p.src) && (p.src[p.at] == '"' || p.src[p.at] == '\'') {
		p.quoted(from)
		return
	}
	for end < len(p.src) && p.src[end] != ']' {
		end++
	}
	inside := string(p.src[p.at:end])
	if end == len(p.src) {
		p.fail(from, end, "bad-target", "[ is never closed", "")
		return
	}
	p.at = end + 1
	switch i, err := strconv.Atoi(inside); {
	case inside == "*" && p.each >= 0:
		p.fail(from, p.at, "bad-target", "one [*] is the most", "write the inner lists with map(…)")
	case inside == "*":
		p.each, p.eachAt = len(p.path), from
	case err != nil || inside[0] == '+':
		p.fail(from, p.at, "bad-target", "brackets take an index, a quoted name or *", `body.list[0], body["a b"], body.list[*].x`)
	default:
		p.path = append(p.path, document.Segment{Index: i, IsIndex: true})
	}
}

func (p *targetParser) quoted(from int) {
	rest := string(p.src[p.at:])
	end := stringEnd(rest)
	if end < 0 {
		p.fail(from, len(p.src), "bad-target", "the quoted name does not end", "")
		return
	}
	literal := rest[:end+1]
	name, err := unquote(literal)
	if err != nil {
		p.fail(p.at, p.at+len([]rune(literal)), "bad-target", "the quoted name is not well formed", "")
		return
	}
	p.at += len([]rune(literal))
	if p.at == len(p.src) || p.src[p.at] != ']' {
		p.fail(from, p.at, "bad-target", "[ is never closed", "")
		return
	}
	p.at++
	p.path = append(p.path, document.Segment{Name: name})
}

// unquote reads a string literal in double or single quotes.
func unquote(literal string) (string, error) {
	if literal[0] == '"' {
		return strconv.Unquote(literal)
	}
	out, rest := "", literal[1:len(literal)-1]
	for rest != "" {
		r, _, tail, err := strconv.UnquoteChar(rest, '\'')
		if err != nil {
			return "", err
		}
		out, rest = out+string(r), tail
	}
	return out, nil
}

// finish checks the whole against what can be written.
func (p *targetParser) finish(base string) {
	t := &p.target
	t.Path = p.path
	if p.each >= 0 {
		t.Each, t.Path, t.Rest = true, p.path[:p.each:p.each], p.path[p.each:]
	}
	whole := len(p.path) == 0 && !t.Each
	switch base {
	case "body":
		t.Kind = TargetBody
	case "tmp":
		t.Kind = TargetTmp
		if whole {
			p.fail(0, len(p.src), "bad-target", "tmp is written by its parts", "write tmp.name")
		}
	case "meta":
		t.Kind = TargetMeta
		if len(p.path) != 1 || p.path[0].IsIndex || t.Each {
			p.fail(0, len(p.src), "bad-target", "meta is a flat map of text", `write meta.name or meta["a-b"]`)
			return
		}
		t.Name, t.Path = p.path[0].Name, nil
	case "key", "time":
		t.Kind = TargetKey
		if base == "time" {
			t.Kind = TargetTime
		}
		if !whole {
			p.fail(0, len(p.src), "bad-target", base+" has no parts", "write "+base)
		}
	default:
		p.unwritable(base)
	}
}

func (p *targetParser) unwritable(base string) {
	n := len([]rune(base))
	hint := ""
	switch base {
	case "topic":
		hint = "a sink names where the message goes"
	case "raw":
		hint = "write body"
	case "vars":
		hint = "tmp.name holds what a message carries along"
	}
	if messageNames[base] != nil || base == "vars" {
		p.fail(0, n, "not-writable", base+" cannot be written", hint)
		return
	}
	if near := nearest(base, []string{"body", "meta", "tmp", "key", "time"}); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near+string(p.src[n:]))
	} else {
		hint = fmt.Sprintf("write body.%s", string(p.src))
	}
	p.fail(0, n, "unknown-target", fmt.Sprintf("unknown target %q", base), hint)
}
