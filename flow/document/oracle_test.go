package document_test

import (
	"errors"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
)

// oracle is the plain implementation that Document is held against: it decodes the whole payload, works on the decoded tree, and copies
// the whole tree before each write.
type oracle struct {
	raw     []byte
	format  document.Format
	open    bool // tree is decoded or assigned
	written bool
	none    bool
	tree    any
}

var errPath = errors.New("path")

func (o *oracle) decode() error {
	if o.open {
		return nil
	}
	switch {
	case len(o.raw) == 0:
	case o.format == document.Bytes:
		o.tree = o.raw
	case o.format == document.Text:
		if !utf8.Valid(o.raw) {
			return &document.DecodeError{}
		}
		o.tree = string(o.raw)
	default:
		v, err := value.ParseJSON(slices.Clone(o.raw))
		if err != nil {
			return &document.DecodeError{Offset: err.(*syntax.Error).Offset}
		}
		o.tree = v.Box()
	}
	o.open = true
	return nil
}

func (o *oracle) get(path []document.Segment, strict bool) (any, error) {
	if err := o.decode(); err != nil {
		return nil, err
	}
	x := o.tree
	for _, s := range path {
		switch y := x.(type) {
		case nil:
			if strict {
				return nil, errPath
			}
			return nil, nil
		case map[string]any:
			if s.IsIndex {
				return nil, errPath
			}
			x = y[s.Name]
		case []any:
			if !s.IsIndex {
				return nil, errPath
			}
			i := s.Index
			if i < 0 {
				i += len(y)
			}
			if i < 0 || i >= len(y) {
				if strict {
					return nil, errPath
				}
				x = nil
				continue
			}
			x = y[i]
		default:
			return nil, errPath
		}
	}
	return x, nil
}

func (o *oracle) set(path []document.Segment, v any) error {
	if len(path) > 0 {
		if err := o.decode(); err != nil {
			return err
		}
	}
	tree := v
	if len(path) > 0 {
		var err error
		if tree, err = setIn(clone(o.tree), path, clone(v)); err != nil {
			return err
		}
	}
	o.tree, o.open, o.written, o.none = tree, true, true, false
	return nil
}

func (o *oracle) remove(path []document.Segment) error {
	if len(path) == 0 {
		o.tree, o.open, o.written, o.none = nil, true, true, true
		return nil
	}
	if err := o.decode(); err != nil {
		return err
	}
	tree, changed, err := removeIn(clone(o.tree), path)
	if err != nil || !changed {
		return err
	}
	o.tree, o.written = tree, true
	return nil
}

func (o *oracle) encode() ([]byte, error) {
	switch {
	case !o.written:
		return o.raw, nil
	case o.none:
		return nil, nil
	}
	v, err := value.FromAny(o.tree)
	if err != nil {
		return nil, err
	}
	if o.format == document.JSON {
		return value.AppendJSON(nil, v)
	}
	switch v.Kind() {
	case value.KindNil:
		return nil, nil
	case value.KindString:
		return []byte(v.Str()), nil
	case value.KindBytes:
		if o.format == document.Text && !utf8.Valid(v.BytesValue()) {
			return nil, errors.New("not text")
		}
		return v.BytesValue(), nil
	}
	return nil, errors.New("not text")
}

func setIn(x any, path []document.Segment, v any) (any, error) {
	if len(path) == 0 {
		return v, nil
	}
	s := path[0]
	switch y := x.(type) {
	case nil:
		if s.IsIndex {
			return nil, errPath
		}
		inner, err := setIn(nil, path[1:], v)
		return map[string]any{s.Name: inner}, err
	case map[string]any:
		if s.IsIndex {
			return nil, errPath
		}
		inner, err := setIn(y[s.Name], path[1:], v)
		y[s.Name] = inner
		return y, err
	case []any:
		i := s.Index
		if i < 0 {
			i += len(y)
		}
		if !s.IsIndex || i < 0 || i >= len(y) {
			return nil, errPath
		}
		inner, err := setIn(y[i], path[1:], v)
		y[i] = inner
		return y, err
	}
	return nil, errPath
}

func removeIn(x any, path []document.Segment) (any, bool, error) {
	s := path[0]
	switch y := x.(type) {
	case nil:
		return nil, false, nil
	case map[string]any:
		if s.IsIndex {
			return nil, false, errPath
		}
		inner, ok := y[s.Name]
		if !ok {
			return y, false, nil
		}
		if len(path) == 1 {
			delete(y, s.Name)
			return y, true, nil
		}
		inner, changed, err := removeIn(inner, path[1:])
		y[s.Name] = inner
		return y, changed, err
	case []any:
		i := s.Index
		if i < 0 {
			i += len(y)
		}
		if !s.IsIndex {
			return nil, false, errPath
		}
		if i < 0 || i >= len(y) {
			return y, false, nil
		}
		if len(path) == 1 {
			return slices.Delete(y, i, i+1), true, nil
		}
		inner, changed, err := removeIn(y[i], path[1:])
		y[i] = inner
		return y, changed, err
	}
	return nil, false, errPath
}

func clone(x any) any {
	switch y := x.(type) {
	case map[string]any:
		m := maps.Clone(y)
		for k := range m {
			m[k] = clone(m[k])
		}
		return m
	case []any:
		l := slices.Clone(y)
		for i := range l {
			l[i] = clone(l[i])
		}
		return l
	}
	return x
}
