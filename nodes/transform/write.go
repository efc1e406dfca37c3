package transform

import (
	"errors"
	"fmt"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
)

// build compiles one line; nil when it has a finding.
func build(b *config.Builder, l *line) writer {
	target, problems := expression.ParseTarget(l.key.Text)
	bad := b.Report(&l.key, problems)
	r := l.right.compile(b, &target, expression.WantAssign)
	plain := b.Scope.Body == nil && !b.Scope.Format.HasPaths()
	switch {
	case bad:
		b.Scope.Body = nil
	case target.Kind == expression.TargetBody:
		b.Scope.Body = written(b.Scope.Body, &target, r)
	}
	if bad || r == nil {
		return nil
	}
	if target.Kind == expression.TargetBody && (len(target.Path) > 0 || target.Each) && plain {
		b.Findings.Add(l.key.Whole("path-into-text", "body is not a map here: its format has no paths", "write body as a whole; or decode: json"))
		return nil
	}
	if v, ok := r.constant(); ok && !target.Each {
		if err := suits(&target, v); err != nil {
			b.Findings.Add(l.key.Whole(diag.TypeMismatch, err.Error(), ""))
			return nil
		}
	}
	if target.Each {
		return buildEach(b, &target, r)
	}
	switch target.Kind {
	case expression.TargetBody:
		return buildBody(b, &target, r)
	case expression.TargetMeta:
		return &metaWriter{target: target, right: r}
	case expression.TargetTmp:
		return &tmpWriter{path: target.Path, right: r}
	case expression.TargetKey:
		return &keyWriter{target: target, right: r}
	case expression.TargetTime:
		return &timeWriter{target: target, right: r}
	}
	return nil
}

// written is what is known of a body after a line.
func written(body *expression.Shape, t *expression.Target, r right) *expression.Shape {
	if r == nil { // what was to be written has a finding
		return body.With(t.Path, nil)
	}
	v, _ := r.constant()
	switch k := v.Kind(); {
	case k == value.KindKeep:
		return body
	case t.Each && k == value.KindDelete:
		return body.With(t.Path, listOf(elementOf(body, t.Path).Without(t.Rest)))
	case t.Each:
		return body.With(t.Path, listOf(elementOf(body, t.Path).With(t.Rest, r.shape())))
	case k == value.KindDelete:
		return body.Without(t.Path)
	}
	return body.With(t.Path, r.shape())
}

func listOf(element *expression.Shape) *expression.Shape {
	return &expression.Shape{Kind: value.KindList, Elem: element}
}

// elementOf is what is known of the elements of a list in the body.
func elementOf(body *expression.Shape, path []document.Segment) *expression.Shape {
	for _, s := range path {
		if s.IsIndex {
			body = body.Element()
		} else {
			body = body.Field(s.Name)
		}
	}
	return body.Element()
}

// suits tells what is wrong with a value for a target that does not take all of them.
func suits(t *expression.Target, v value.Value) error {
	k := v.Kind()
	if k == value.KindKeep {
		return nil
	}
	switch t.Kind {
	case expression.TargetMeta:
		switch k {
		case value.KindString, value.KindInt, value.KindFloat, value.KindBool, value.KindDelete:
			return nil
		case value.KindNil:
			return fmt.Errorf("%s is set to nil; write delete to remove it", t.Text)
		default:
			return fmt.Errorf("%s takes text, a number or a bool, not %s", t.Text, k)
		}
	case expression.TargetKey:
		switch k {
		case value.KindString, value.KindBytes, value.KindInt, value.KindBool, value.KindNil, value.KindDelete:
			return nil
		default:
			return fmt.Errorf("key takes text, bytes, an int or a bool, not %s", k)
		}
	case expression.TargetTime:
		if k != value.KindTime {
			return fmt.Errorf("time takes a time, not %s; parseTime(text) makes one", k)
		}
	case expression.TargetBody, expression.TargetTmp:
	}
	return nil
}

func refused(err error) error { return flow.Errorf(flow.Permanent, flow.CodeExpression, "%w", err) }

// bodyError gives a failed write its code: the body is broken, or the path does not fit it.
func bodyError(err error) error {
	var broken *document.DecodeError
	if errors.As(err, &broken) {
		return flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
	}
	return refused(err)
}

func buildBody(b *config.Builder, t *expression.Target, r right) writer {
	slot := b.WritePath(t.Path...)
	if v, ok := r.constant(); ok {
		return &bodyConstant{slot: slot, value: v}
	}
	if from, ok := r.path(); ok {
		return &bodyCopy{from: from, to: slot}
	}
	return &bodyWriter{slot: slot, right: r}
}

type bodyWriter struct {
	slot  document.Slot
	right right
}

func (w *bodyWriter) write(m *flow.Message) error {
	v, err := w.right.eval(m, expression.Bindings{})
	if err != nil {
		return err
	}
	if err := m.Body.Set(w.slot, v); err != nil {
		return bodyError(err)
	}
	return nil
}

type bodyConstant struct {
	slot  document.Slot
	value value.Value
}

func (w *bodyConstant) write(m *flow.Message) error {
	if err := m.Body.Set(w.slot, w.value); err != nil {
		return bodyError(err)
	}
	return nil
}

// bodyCopy moves the bytes of a value as they came.
type bodyCopy struct{ from, to document.Slot }

func (w *bodyCopy) write(m *flow.Message) error {
	if err := m.Body.Copy(w.from, w.to); err != nil {
		return bodyError(err)
	}
	return nil
}

type metaWriter struct {
	target expression.Target
	right  right
}

func (w *metaWriter) write(m *flow.Message) error {
	v, err := w.right.eval(m, expression.Bindings{})
	if err != nil {
		return err
	}
	if err := suits(&w.target, v); err != nil {
		return refused(err)
	}
	switch v.Kind() {
	case value.KindKeep:
		return nil
	case value.KindDelete:
		m.DeleteMeta(w.target.Name)
		return nil
	default:
		return m.SetMeta(w.target.Name, v)
	}
}

type keyWriter struct {
	target expression.Target
	right  right
}

func (w *keyWriter) write(m *flow.Message) error {
	v, err := w.right.eval(m, expression.Bindings{})
	if err != nil {
		return err
	}
	if err := suits(&w.target, v); err != nil {
		return refused(err)
	}
	switch v.Kind() {
	case value.KindKeep:
	case value.KindString:
		m.SetKey([]byte(v.Str()))
	case value.KindBytes:
		m.SetKey(v.BytesValue())
	case value.KindInt, value.KindBool:
		text, err := value.AppendJSON(nil, v)
		if err != nil {
			return err
		}
		m.SetKey(text)
	default:
		m.SetKey(nil)
	}
	return nil
}

type timeWriter struct {
	target expression.Target
	right  right
}

func (w *timeWriter) write(m *flow.Message) error {
	v, err := w.right.eval(m, expression.Bindings{})
	if err != nil {
		return err
	}
	if err := suits(&w.target, v); err != nil {
		return refused(err)
	}
	if v.Kind() == value.KindTime {
		m.SetTime(v.Time())
	}
	return nil
}

type tmpWriter struct {
	path  []document.Segment
	right right
}

func (w *tmpWriter) write(m *flow.Message) error {
	v, err := w.right.eval(m, expression.Bindings{})
	if err != nil || v.Kind() == value.KindKeep {
		return err
	}
	return writeTmp(m, w.path, v)
}

func writeTmp(m *flow.Message, path []document.Segment, v value.Value) error {
	var tmp any
	if t := m.Tmp(); t != nil {
		tmp = t
	}
	changed, err := with(tmp, "tmp", path, v)
	if err != nil {
		return refused(err)
	}
	t, _ := changed.(map[string]any)
	m.SetTmp(t)
	return nil
}
