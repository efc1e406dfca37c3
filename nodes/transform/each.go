package transform

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// eachWriter is a line through [*]: it writes to every element of a list. The elements are all evaluated against the message as it was
// before the line.
type eachWriter struct {
	inTmp bool
	path  []document.Segment // of the list
	name  string             // of the list, for errors
	slot  document.Slot      // of a list in the body
	rest  []document.Segment
	right right
}

func buildEach(b *config.Builder, t *expression.Target, r right) writer {
	w := &eachWriter{path: t.Path, rest: t.Rest, right: r, inTmp: t.Kind == expression.TargetTmp}
	if w.inTmp {
		w.name = pathText("tmp", t.Path)
		return w
	}
	w.slot = b.WritePath(t.Path...)
	w.name = pathText("body", t.Path)
	return w
}

func (w *eachWriter) write(m *flow.Message) error {
	v, err := w.find(m)
	if err != nil {
		return err
	}
	switch v.Kind() {
	case value.KindNil:
		return nil
	case value.KindList:
	default:
		return refused(fmt.Errorf("%s is %s and no list", w.name, article(v.Kind())))
	}
	changed, err := w.elements(m, v.List())
	if err != nil || changed == nil {
		return err
	}
	if w.inTmp {
		return writeTmp(m, w.path, value.List(changed))
	}
	if err := m.Body.Set(w.slot, value.List(changed)); err != nil {
		return bodyError(err)
	}
	return nil
}

// find reads the list; nil when it, or something above it, is missing.
func (w *eachWriter) find(m *flow.Message) (value.Value, error) {
	if !w.inTmp {
		v, err := m.Body.Lookup(w.slot)
		if err != nil {
			return v, bodyError(err)
		}
		return v, nil
	}
	var x any
	if t := m.Tmp(); t != nil {
		x = t
	}
	for i, s := range w.path {
		switch at := x.(type) {
		case nil:
			return value.Value{}, nil
		case map[string]any:
			if s.IsIndex {
				return value.Value{}, refused(kindError(pathText("tmp", w.path[:i]), at))
			}
			x = at[s.Name]
		case []any:
			index, ok := place(at, s)
			if !ok {
				return value.Value{}, nil
			}
			x = at[index]
		default:
			return value.Value{}, refused(kindError(pathText("tmp", w.path[:i]), at))
		}
	}
	return value.Unbox(x), nil
}

// elements makes the list anew; nil when nothing has changed.
func (w *eachWriter) elements(m *flow.Message, old []any) ([]any, error) {
	out, written := make([]any, 0, len(old)), false
	for i, x := range old {
		v, err := w.right.eval(m, expression.Bindings{It: x})
		if err != nil {
			return nil, err
		}
		switch {
		case v.Kind() == value.KindKeep:
			out = append(out, x)
			continue
		case v.Kind() == value.KindDelete && len(w.rest) == 0:
		case len(w.rest) == 0:
			out = append(out, v.Box())
		default:
			changed, err := with(x, w.name+"["+strconv.Itoa(i)+"]", w.rest, v)
			if err != nil {
				return nil, refused(err)
			}
			out = append(out, changed)
		}
		written = true
	}
	if !written {
		return nil, nil
	}
	return out, nil
}

// with is a copy of x, which stands at the path named at, in which the path below it holds v, or lacks it when v is delete. x itself and
// what is in it stay as they are.
func with(x any, at string, path []document.Segment, v value.Value) (any, error) {
	if len(path) == 0 {
		return v.Box(), nil
	}
	s := path[0]
	remove := v.Kind() == value.KindDelete
	switch x := x.(type) {
	case nil:
		if remove {
			return nil, nil
		}
		if s.IsIndex {
			return nil, fmt.Errorf("%s is nil, cannot write %s; a list's element must exist to be written", at, pathText(at, path))
		}
		inner, err := with(nil, pathText(at, path[:1]), path[1:], v)
		return map[string]any{s.Name: inner}, err
	case map[string]any:
		if !s.IsIndex {
			return withMember(x, at, path, v)
		}
	case []any:
		if s.IsIndex {
			return withElement(x, at, path, v)
		}
	}
	return nil, fmt.Errorf("%w, cannot write %s", kindError(at, x), pathText(at, path))
}

func withMember(x map[string]any, at string, path []document.Segment, v value.Value) (any, error) {
	name, last := path[0].Name, len(path) == 1
	old, found := x[name]
	remove := v.Kind() == value.KindDelete
	if remove && (!found || old == nil && !last) {
		return x, nil
	}
	m := maps.Clone(x)
	if remove && last {
		delete(m, name)
		return m, nil
	}
	inner, err := with(old, pathText(at, path[:1]), path[1:], v)
	m[name] = inner
	return m, err
}

func withElement(x []any, at string, path []document.Segment, v value.Value) (any, error) {
	i, ok := place(x, path[0])
	remove := v.Kind() == value.KindDelete
	switch {
	case !ok && remove:
		return x, nil
	case !ok:
		return nil, fmt.Errorf("%s has %d elements, cannot write %s", at, len(x), pathText(at, path))
	case remove && len(path) == 1:
		return slices.Delete(slices.Clone(x), i, i+1), nil
	}
	inner, err := with(x[i], pathText(at, path[:1]), path[1:], v)
	l := slices.Clone(x)
	l[i] = inner
	return l, err
}

func place(l []any, s document.Segment) (int, bool) {
	i := s.Index
	if i < 0 {
		i += len(l)
	}
	return i, s.IsIndex && i >= 0 && i < len(l)
}

func kindError(at string, x any) error {
	return fmt.Errorf("%s is %s", at, article(value.Unbox(x).Kind()))
}

func article(k value.Kind) string {
	switch k {
	case value.KindNil, value.KindBytes:
		return k.String()
	case value.KindInt:
		return "an int"
	default:
		return "a " + k.String()
	}
}

// pathText is a path as an expression writes it.
func pathText(base string, path []document.Segment) string {
	for _, s := range path {
		switch {
		case s.IsIndex:
			base += "[" + strconv.Itoa(s.Index) + "]"
		case isIdentifier(s.Name):
			base += "." + s.Name
		default:
			base += "[" + strconv.Quote(s.Name) + "]"
		}
	}
	return base
}

func isIdentifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
