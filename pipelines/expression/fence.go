package expression

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// fence looks at the text before expr parses it: expr's parser recurses without a limit, and some mistakes can only be named well
// while the text is still text.
func fence(text string) []Problem {
	if len(text) > maxText {
		return []Problem{{Code: "expression-too-long", Message: fmt.Sprintf("the expression has %d bytes; %d are allowed", len(text), maxText),
			Hint: "split it over several lines of a transform, through tmp"}}
	}
	if !utf8.ValidString(text) {
		return []Problem{{Code: "expression-syntax", Message: "the expression is not valid UTF-8"}}
	}
	f := fencer{src: []rune(text)}
	f.run()
	return f.problems
}

// fencer is a rough lexer: it knows strings, comments, brackets and words.
type fencer struct {
	src      []rune
	at       int
	depth    int
	unary    int  // unary operators in a row
	let      int  // 1 after let, 2 after its name: the = that follows is no mistake
	prev     rune // last rune that is no space
	problems []Problem
}

func (f *fencer) add(from, to int, code, message, hint string) {
	f.problems = append(f.problems, Problem{From: from, To: min(to, len(f.src)), Code: code, Message: message, Hint: hint})
}

func (f *fencer) peek(n int) rune {
	if f.at+n < len(f.src) {
		return f.src[f.at+n]
	}
	return 0
}

func (f *fencer) run() {
	for f.at < len(f.src) {
		r := f.src[f.at]
		switch {
		case unicode.IsSpace(r):
			f.at++
			continue
		case r == '"' || r == '\'' || r == '`':
			f.quoted(r)
		case r == '/' && f.peek(1) == '/':
			f.skipLine()
			continue
		case r == '/' && f.peek(1) == '*':
			f.skipBlock()
			continue
		case isWord(r):
			if !f.moment() {
				f.word()
			}
		default:
			f.symbol(r)
		}
		if f.depth > maxNesting || f.unary > maxNesting {
			f.add(f.at-1, f.at, "expression-too-deep", fmt.Sprintf("the expression nests deeper than %d", maxNesting), "")
			return
		}
	}
}

func isWord(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func (f *fencer) quoted(quote rune) {
	f.step(quote)
	for f.at < len(f.src) {
		r := f.src[f.at]
		f.interpolation()
		f.at++
		if r == '\\' && quote != '`' {
			f.at++
			continue
		}
		if r != quote {
			continue
		}
		if quote != '`' && f.at < len(f.src) && f.src[f.at] == quote {
			f.add(f.at-1, f.at+1, "foreign-syntax", fmt.Sprintf("%c%c is no quote inside a text", quote, quote),
				fmt.Sprintf(`write \%c, or put the text into the other quotes`, quote))
		}
		return
	}
}

func (f *fencer) interpolation() {
	if f.src[f.at] == '$' && f.peek(1) == '{' {
		end := f.at
		for end < len(f.src) && f.src[end] != '}' {
			end++
		}
		f.add(f.at, end+1, "interpolation-in-expression", "${…} is not replaced inside expressions",
			"put it under vars: and write vars.name here")
	}
}

func (f *fencer) skipLine() {
	for f.at < len(f.src) && f.src[f.at] != '\n' {
		f.at++
	}
}

func (f *fencer) skipBlock() {
	for f.at += 2; f.at < len(f.src); f.at++ {
		if f.src[f.at] == '*' && f.peek(1) == '/' {
			f.at += 2
			return
		}
	}
}

// step takes one rune that ends a run of unary operators.
func (f *fencer) step(r rune) {
	f.at++
	f.unary, f.prev = 0, r
}

func (f *fencer) word() {
	from := f.at
	f.interpolation()
	for f.at < len(f.src) && isWord(f.src[f.at]) {
		f.at++
	}
	w := string(f.src[from:f.at])
	switch {
	case w == "let":
		f.let = 1
	case f.let == 1:
		f.let = 2
	default:
		f.let = 0
	}
	if w == "not" {
		f.unary++
	} else {
		f.unary = 0
	}
	f.prev = 'a'
}

func (f *fencer) symbol(r rune) {
	if f.foreign() {
		return
	}
	from := f.at
	switch r {
	case '(', '[', '{':
		if r == '{' && f.peek(1) == '{' && f.prev != ',' && f.prev != '$' {
			f.add(from, from+2, "template-in-expression", "this place takes an expression; {{ }} is for literals", "leave the braces out")
			f.at++
		}
		f.depth++
		f.step(r)
	case ')', ']', '}':
		f.depth--
		f.step(r)
	case '!', '-', '+':
		if r == '!' && f.peek(1) == '=' {
			f.equals(from)
			return
		}
		f.sign()
	case '=', '<', '>':
		f.equals(from)
	case '&':
		f.ampersand(from)
	default:
		f.step(r)
	}
}

// sign takes a rune that may be a unary operator.
func (f *fencer) sign() {
	r := f.src[f.at]
	f.at++
	f.unary++
	f.prev = r
}

// equals takes a run of = < > ! and says what the ones that are not ours should be.
func (f *fencer) equals(from int) {
	let := f.let == 2
	f.let = 0
	for f.at < len(f.src) && (f.src[f.at] == '=' || f.src[f.at] == '>' || f.src[f.at] == '<' || f.at == from) {
		f.at++
	}
	switch op := string(f.src[from:f.at]); op {
	case "=":
		if !let {
			f.add(from, f.at, "assignment", "= does not compare", "write ==")
		}
	case "===", "!==":
		f.add(from, f.at, "foreign-syntax", op+" does not exist here", "write "+op[:2])
	case "=>":
		f.add(from, f.at, "foreign-syntax", "=> does not exist here", "a predicate uses it: filter(body.list, it.x > 1)")
	case "<>":
		f.add(from, f.at, "foreign-syntax", "<> does not exist here", "write !=")
	case "=<":
		f.add(from, f.at, "foreign-syntax", "=< does not exist here", "write <=")
	}
	f.unary, f.prev = 0, '='
}

func (f *fencer) ampersand(from int) {
	for f.at < len(f.src) && f.src[f.at] == '&' {
		f.at++
	}
	if f.at-from != 2 {
		f.add(from, f.at, "foreign-syntax", "a single & is no operator", "write and, or bitand(a, b) for bits")
	}
	f.unary, f.prev = 0, '&'
}
