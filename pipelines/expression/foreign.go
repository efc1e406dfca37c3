package expression

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// foreignSign is a sign of another language that stands for nothing here, and what to write for it.
type foreignSign struct{ sign, write string }

const noAssignment = "a comparison (==), or assign in transform: body.path: expression"

// foreignSigns are no beginning of what the language has; longer ones come first.
var foreignSigns = []foreignSign{
	{"||=", noAssignment}, {"&&=", noAssignment}, {"??=", noAssignment}, {"|=", noAssignment}, {"+=", noAssignment}, {"-=", noAssignment},
	{"*=", noAssignment}, {"/=", noAssignment}, {"%=", noAssignment}, {"^=", noAssignment}, {":=", "let a = 1; a + 2 for a name, or == to compare"},
	{"=~", `matches, as in body.x matches "^a"`}, {"!~", `not (body.x matches "^a")`}, {"~", `matches, as in body.x matches "^a"`},
	{"->", "a dot, as in body.x"}, {"::", "a dot, as in body.x"},
	{"“", `straight quotes: "text"`}, {"”", `straight quotes: "text"`}, {"‘", `straight quotes: "text"`}, {"’", `straight quotes: "text"`},
}

// foreign takes a sign of another language.
func (f *fencer) foreign() bool {
	rest := string(f.src[f.at:min(f.at+3, len(f.src))])
	for _, s := range foreignSigns {
		if strings.HasPrefix(rest, s.sign) {
			n := len([]rune(s.sign))
			f.add(f.at, f.at+n, "foreign-syntax", s.sign+" does not exist here", "write "+s.write)
			f.at += n
			f.unary, f.prev, f.let = 0, '=', 0
			return true
		}
	}
	return false
}

// foreignTokens are signs and words that other languages have where this one has nothing.
var foreignTokens = map[string]string{"and": "and, in small letters", "or": "or, in small letters", "not": "not, in small letters",
	"in": "in, in small letters", "like": `matches "^x", contains "x" or startsWith "x"`, "is": "== or !=, as in body.x == nil",
	"then": "a ? b : c", "end": "a ? b : c", "if": "a ? b : c", "else": "a ? b : c", "between": "x >= a and x <= b",
	"eq": "==", "ne": "!=", "gt": ">", "lt": "<", "ge": ">=", "le": "<=",
	"instanceof": "type(x)", "typeof": "type(x)", ".": "body before the dot, as in body.x", ":": "a dot, as in body.x",
	"#": "// before a comment"}

var (
	tokenText  = regexp.MustCompile(`[A-Z][A-Za-z]*\((".*")\)`)
	dotNumber  = regexp.MustCompile(`^\.\d+$`)
	wordBefore = regexp.MustCompile(`([A-Za-z][A-Za-z0-9]*)\s+$`)
)

// unexpected puts a token that cannot stand where it does into our words.
func (p *Problem) unexpected(text string) {
	p.Message = tokenText.ReplaceAllString(p.Message, "$1")
	runes := []rune(text)
	word, before := string(runes[p.From:p.To]), string(runes[:p.From])
	called := wordBefore.FindStringSubmatch(before)
	switch like := foreignTokens[strings.ToLower(word)]; {
	case word == "." && strings.HasSuffix(before, "nil"):
		p.Hint = "nil has no fields"
	case word == ")" || word == "]" || word == "}":
		p.Hint = "no bracket is open here: leave it out"
	case someWords.MatchString(text) && !knownWord(strings.Fields(text)[0]):
		text = strings.TrimSpace(text)
		p.From, p.To = 0, len([]rune(text))
		p.Code, p.Message, p.Hint = "bare-text", "these words are no expression, and a text needs quotes of its own", quoteIt(text, runes)
	case like != "":
		p.Code, p.Message, p.Hint = "foreign-syntax", word+" does not exist here", "write "+like
	case dotNumber.MatchString(word):
		p.Hint = fmt.Sprintf("write [%s] for an element of a list, [\"%s\"] for a field of that name", word[1:], word[1:])
	case strings.HasSuffix(strings.TrimRightFunc(before, unicode.IsSpace), "|"):
		p.Hint = "after | comes a function: body.x | upper(); a condition takes or, bits take bitor(a, b)"
	case called != nil && functions.byName[called[1]] != nil:
		p.Hint = fmt.Sprintf("a function takes what it is about in brackets: %s(…)", called[1])
	}
}

// someWords is a text of several words without any sign.
var someWords = regexp.MustCompile(`^\s*\pL+( [\pL\d]+)+[.!]?\s*$`)

func knownWord(word string) bool {
	return messageNames[word] != nil || functions.byName[word] != nil || foreignWords[word] != "" ||
		slices.Contains([]string{"vars", "it", "let", "if", "not", "nil", "true", "false", "delete", "keep"}, word)
}

// endsEarly says what is missing where an expression ends too early.
func (p *Problem) endsEarly(text string) {
	p.Message = "the expression ends too early"
	f := fencer{src: []rune(text)}
	f.run()
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasSuffix(trimmed, "."):
		p.Message, p.Hint = "a name must follow the dot", "write body.name"
	case strings.HasSuffix(trimmed, "++"), strings.HasSuffix(trimmed, "--"):
		p.Code, p.Message, p.Hint = "foreign-syntax", trimmed[len(trimmed)-2:]+" does not exist here", "write + 1 or - 1"
	case f.depth > 0:
		p.Hint = "close the bracket"
	case lonelyQuestion.MatchString(text) && !strings.Contains(text, ":"):
		p.Hint = "a choice has two results: a ? b : c; a field of what may be missing is body?.x"
	}
}

// lonelyQuestion is a ? that begins neither ?. nor ??.
var lonelyQuestion = regexp.MustCompile(`(^|[^?])\?([^.?]|$)`)
