package expression

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// A text in an expression needs quotes of its own, and the quotes of YAML are not these. What is written without them parses as a name, as
// a subtraction, or not at all.

var (
	bareDate  = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})?)?`)
	bareClock = regexp.MustCompile(`^\d{1,2}:\d{2}(:\d{2})?`)
	bareWords = regexp.MustCompile(`^[A-Za-z_]\w*(-\w+)+$`)
)

// moment takes a date or time of day that stands where a number begins. A time of day is one only where no slice or condition can be meant.
func (f *fencer) moment() bool {
	if r := f.src[f.at]; r < '0' || r > '9' || f.at > 0 && f.src[f.at-1] == '.' {
		return false
	}
	rest := string(f.src[f.at:min(f.at+40, len(f.src))])
	text, is := bareDate.FindString(rest), "a subtraction"
	if text == "" && (f.prev == 0 || f.prev == '=') {
		text, is = bareClock.FindString(rest), "no number"
	}
	if text == "" || f.at+len(text) < len(f.src) && isWord(f.src[f.at+len(text)]) {
		return false
	}
	f.add(f.at, f.at+len(text), "bare-text", text+" is "+is+", and a text needs quotes of its own", quoteIt(text, f.src))
	f.at += len(text)
	f.prev = 'a'
	return true
}

// quoteIt says how to write a text. Where it is all there is, YAML takes away the first quotes it finds.
func quoteIt(text string, expression []rune) string {
	if strings.TrimSpace(string(expression)) == text {
		return fmt.Sprintf(`write '"%s"', or "%s" in a | block`, text, text)
	}
	return fmt.Sprintf(`write "%s"`, text)
}

// operand visits what may have been meant as a text: the whole expression, a side of a comparison, a way out of a condition.
func (v *scanner) operand(n ast.Node, tail bool) {
	if array, ok := n.(*ast.ArrayNode); ok {
		for _, item := range array.Nodes {
			v.operand(item, false)
		}
		return
	}
	if !v.bareText(n) {
		v.visit(n, tail)
	}
}

// whole visits the expression as such. A condition cannot be a text.
func (v *scanner) whole(n ast.Node) {
	if v.want == WantBool || v.want == WantList {
		v.visit(n, true)
		return
	}
	v.operand(n, true)
}

// bareText finds a word, or words with dashes between them, that name nothing and are not nearly a name.
func (v *scanner) bareText(n ast.Node) bool {
	first := n
	for {
		minus, ok := first.(*ast.BinaryNode)
		if !ok || minus.Operator != "-" {
			break
		}
		first = minus.Left
	}
	id, ok := first.(*ast.IdentifierNode)
	if !ok || v.means(id.Value) {
		return false
	}
	from, to := extent(n, len(v.src), 0)
	text := string(v.src[from:to])
	if first != n && !bareWords.MatchString(text) {
		return false
	}
	what := "names nothing"
	if first != n {
		what = "is a subtraction"
	}
	hint := quoteIt(text, v.src)
	if v.want == WantText {
		hint = "leave {{ }} out to write the text itself"
	}
	v.problems = append(v.problems, Problem{From: from, To: to, Code: "bare-text", Message: text + " " + what + ", and a text needs quotes of its own", Hint: hint})
	return true
}

// means tells that a word has another meaning here than that of its letters, or probably was to have one.
func (v *scanner) means(word string) bool {
	if slices.Contains(v.lets, word) || slices.Contains(v.names, word) || slices.Contains(predicates, word) || functions.byName[word] != nil ||
		messageNames[word] != nil || foreignWords[word] != "" || slices.Contains([]string{"it", "delete", "keep"}, word) {
		return true
	}
	near := nearest(word, append(slices.Clone(v.lets), v.names...))
	return near != "" && distance(word, near) <= max(1, len(word)/3)
}
