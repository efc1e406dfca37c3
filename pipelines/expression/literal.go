package expression

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// mapLiteral is a map whose keys are written out, as the parts to be evaluated in their order and written in that of their keys.
type mapLiteral struct {
	names  []string
	parts  []closure
	sorted []member
}

// member is a key as JSON, with what stands before it, and the part that is its value.
type member struct {
	key  string
	part int
}

// mostMembers is how many values of a literal are kept without allocating.
const mostMembers = 16

// literalOf is nil where n is no such map, or needs the machine.
func literalOf(n ast.Node) *mapLiteral {
	m, ok := n.(*ast.MapNode)
	if !ok || len(m.Pairs) == 0 || len(m.Pairs) > mostMembers {
		return nil
	}
	l := &mapLiteral{}
	for i, p := range m.Pairs {
		pair, ok := p.(*ast.PairNode)
		if !ok {
			return nil
		}
		name, ok := isConstantText(pair.Key)
		part := closureOf(pair.Value)
		if !ok || part == nil || slices.Contains(l.names, name) {
			return nil
		}
		l.names, l.parts = append(l.names, name), append(l.parts, part)
		l.sorted = append(l.sorted, member{key: name, part: i})
	}
	slices.SortFunc(l.sorted, func(a, b member) int { return strings.Compare(a.key, b.key) })
	for i := range l.sorted {
		before := byte(',')
		if i == 0 {
			before = '{'
		}
		l.sorted[i].key = string(append(value.AppendJSONString([]byte{before}, l.sorted[i].key), ':'))
	}
	return l
}

// AppendJSON evaluates p as EvalWith does and appends the result as value.AppendJSON does, without making the map of a map literal. An
// error of the evaluation is a *flow.Error; any other is one of writing. dst is then returned as it was.
func (p *Program) AppendJSON(dst []byte, m *flow.Message, b Bindings) ([]byte, error) {
	if p.literal == nil || p.constant {
		v, err := p.EvalWith(m, b)
		if err != nil {
			return dst, err
		}
		return value.AppendJSON(dst, v)
	}
	var room [mostMembers]value.Value
	values := room[:len(p.literal.parts)]
	r := startRun(p.scope, m, b)
	err := p.literal.evaluate(r, values)
	r.end()
	if err == nil {
		err = p.suitsMap(values)
	}
	if err != nil {
		return dst, p.wrap(err)
	}
	out := dst
	for _, member := range p.literal.sorted {
		out = append(out, member.key...)
		if out, err = value.AppendJSON(out, values[member.part]); err != nil {
			return dst, err
		}
	}
	return append(out, '}'), nil
}

func (l *mapLiteral) evaluate(r *run, values []value.Value) (err error) {
	for i, part := range l.parts {
		if values[i], err = part(r); err != nil {
			return err
		}
	}
	return nil
}

// suitsMap is judge for the map that values make.
func (p *Program) suitsMap(values []value.Value) error {
	size := 8
	for i, v := range values {
		size += len(p.literal.names[i])
		switch v.Kind() {
		case value.KindString:
			size += 8 + len(v.Str())
		case value.KindBytes, value.KindList, value.KindMap:
			size += weigh(v.Box(), maxResult-size)
		default:
			size += 8
		}
		if size >= maxResult {
			return tooLarge()
		}
	}
	if p.want != WantAny && p.want != WantAssign {
		return p.suits(value.Map(nil))
	}
	return nil
}

func tooLarge() error { return fmt.Errorf("the result is larger than %d MiB", maxResult>>20) }

// formatPiece is a piece of a format: text, then a verb, which is 0 at the end.
type formatPiece struct {
	text string
	verb byte
}

// mostVerbs is how many arguments are formatted without allocating.
const mostVerbs = 8

// formatPieces cuts a format that has no verbs but %d, %s and %v, without flags.
func formatPieces(format string) (pieces []formatPiece, ok bool) {
	var text strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			text.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			return nil, false
		}
		switch verb := format[i]; verb {
		case '%':
			text.WriteByte('%')
		case 'd', 's', 'v':
			pieces = append(pieces, formatPiece{text.String(), verb})
			text.Reset()
		default:
			return nil, false
		}
	}
	return append(pieces, formatPiece{text: text.String()}), true
}

// formatClosure is sprintf with a format that is written out: ints and strings go straight into the text. It is nil where that is not
// possible; what it does not know goes to the function itself.
func formatClosure(s *site, parts []closure, args []ast.Node) closure {
	if s.fn == nil || s.fn.Name != "sprintf" {
		return nil
	}
	format, ok := isConstantText(args[0])
	if !ok {
		return nil
	}
	pieces, ok := formatPieces(format)
	if n := len(parts) - 1; !ok || len(pieces) != n+1 || n > mostVerbs {
		return nil
	}
	return func(r *run) (value.Value, error) {
		var room [mostVerbs]value.Value
		values := room[:len(parts)-1]
		for i, part := range parts[1:] {
			v, err := part(r)
			if err != nil {
				return v, err
			}
			values[i] = v
		}
		var text [64]byte
		out, ok := appendFormat(text[:0], pieces, values)
		if !ok {
			boxes := []any{format}
			for _, v := range values {
				boxes = append(boxes, v.Box())
			}
			return boxed(r.invoke(s, boxes))
		}
		size := len(format)
		for _, v := range values {
			if v.Kind() == value.KindString {
				size += len(v.Str()) * 4
			}
		}
		if err := r.call.made(size); err != nil {
			return value.Value{}, s.because(err)
		}
		return value.String(string(out)), nil
	}
}

func appendFormat(out []byte, pieces []formatPiece, values []value.Value) ([]byte, bool) {
	for i, v := range values {
		out = append(out, pieces[i].text...)
		switch verb, k := pieces[i].verb, v.Kind(); {
		case k == value.KindInt && verb != 's':
			out = strconv.AppendInt(out, v.Int(), 10)
		case k == value.KindString && verb != 'd':
			out = append(out, v.Str()...)
		default:
			return nil, false
		}
	}
	return append(out, pieces[len(values)].text...), true
}
