package expression

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/expr-lang/expr/ast"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
)

// site is one place of an expression that can fail: it knows the words for the error.
type site struct {
	src     []rune // the whole expression
	op      operator
	node    ast.Node // the piece, as written
	left    ast.Node // the operands or arguments, as written
	right   ast.Node
	fn      *Function
	args    []ast.Node
	lenient bool // an index behind the end of a list gives nil
	pattern *regexp.Regexp
	set     map[string]struct{} // the strings of a constant list, for in
	try     *attempt
}

// piece is the text of n as written, as far as an error quotes it.
func (s *site) piece(n ast.Node) string {
	from, to := extent(n, len(s.src), 0)
	if from >= to {
		return n.String()
	}
	if _, call := n.(*ast.CallNode); call && to < len(s.src) && s.src[to] == '(' {
		to++ // constant arguments may have lost their places
	}
	text := s.src[from:balanced(s.src, from, to)]
	if len(text) > 80 {
		return string(text[:79]) + "…"
	}
	return string(text)
}

// extent is from the first to the last token that n and its parts know of. What expr builds without a token has no location.
func extent(n ast.Node, from, to int) (int, int) {
	if l := n.Location(); l.To > 0 {
		from, to = min(from, l.From), max(to, l.To)
	}
	for _, c := range children(n) {
		from, to = extent(*c, from, to)
	}
	return from, to
}

// balanced moves the end behind the brackets that close what was opened inside.
func balanced(src []rune, from, to int) int {
	open := 0
	var quote rune
	for i := from; i < len(src); i++ {
		r := src[i]
		switch {
		case quote != 0:
			if r == '\\' && quote != '`' {
				i++
			} else if r == quote {
				quote = 0
			}
		case i >= to && open == 0:
			return i
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case r == '(' || r == '[' || r == '{':
			open++
		case r == ')' || r == ']' || r == '}':
			open--
			if i >= to && open <= 0 {
				return i + 1
			}
		}
	}
	return len(src)
}

// fail is an error about the whole site.
func (s *site) fail(format string, args ...any) error {
	return flow.Errorf(flow.Permanent, flow.CodeExpression, format+" in %q", append(args, s.piece(s.node))...)
}

// because puts a cause's words into an error about the site. An error that is complete already stays as it is.
func (s *site) because(err error) error {
	var e *flow.Error
	if errors.As(err, &e) {
		return e
	}
	return s.fail("%w", err)
}

// readError is what a read of the body gives.
func readError(err error) error {
	var broken *document.DecodeError
	if errors.As(err, &broken) {
		return flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
	}
	return flow.Errorf(flow.Permanent, flow.CodeExpression, "%w", err)
}

// isNilError says which operand is nil, and how to write it instead.
func (s *site) isNilError(operand ast.Node, other any) error {
	hint := ""
	if name := s.piece(operand); isPath(operand) && s.left != nil {
		fallback := fallbackFor(s.op, other)
		if s.right == nil {
			hint = fmt.Sprintf("; write %s(%s ?? %s)", unaryText(s.op), name, fallback)
		} else {
			l, r := s.piece(s.left), s.piece(s.right)
			guarded := fmt.Sprintf("(%s ?? %s)", name, fallback)
			if operand == s.left {
				l = guarded
			} else {
				r = guarded
			}
			hint = fmt.Sprintf("; write %s %s %s", l, s.op, r)
		}
	}
	return flow.Errorf(flow.Permanent, flow.CodeExpression, "%s is nil in %q%s", s.piece(operand), s.piece(s.node), hint)
}

func unaryText(op operator) string {
	if op == opNot {
		return "not "
	}
	return op.String()
}

func fallbackFor(op operator, other any) string {
	switch other.(type) {
	case string:
		return `""`
	}
	switch op {
	case opNot, opAnd, opOr:
		return "false"
	case opContains, opStartsWith, opEndsWith, opMatches:
		return `""`
	}
	return "0"
}

func isPath(n ast.Node) bool {
	switch n.(type) {
	case *ast.MemberNode, *ast.ChainNode, *ast.IdentifierNode, *ast.PointerNode:
		return true
	}
	return false
}

// failed is what fail("why") gives.
func failed(why string) error { return flow.Errorf(flow.Permanent, flow.CodeFailed, "%s", why) }
