package transform

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Target is a place of body or tmp that another verb writes a map to, as a line of transform does.
type Target struct {
	inTmp bool
	path  []document.Segment
	slot  document.Slot
}

// BuildTarget compiles the place that a text names, for maps of which s is known; nil when it has a finding. What is known of the body
// afterwards is in b.Scope.
func BuildTarget(b *config.Builder, at *yamldoc.Scalar, s *expression.Shape) *Target {
	t, problems := expression.ParseTarget(at.Text)
	if b.Report(at, problems) {
		b.Scope.Body = nil
		return nil
	}
	switch {
	case t.Each:
		b.Findings.Add(at.Whole(diag.BadValue, "one place is written here, and [*] names many", "write body.list[0].x, or a place outside of the list"))
	case t.Kind == expression.TargetTmp:
		return &Target{inTmp: true, path: t.Path}
	case t.Kind != expression.TargetBody:
		b.Findings.Add(at.Whole(diag.TypeMismatch, at.Text+" takes no map", "write tmp.answer, and take what is needed out of it in a transform"))
	case b.Scope.Format == document.Text || b.Scope.Format == document.Bytes:
		b.Findings.Add(at.Whole("path-into-text", "body is not a map here: its format has no paths", "write tmp.answer; or decode: json"))
	default:
		b.Scope.Body = b.Scope.Body.With(t.Path, s)
		return &Target{slot: b.WritePath(t.Path...)}
	}
	return nil
}

// Write puts v there. Missing maps are made; the error is *flow.Error and names the path.
func (t *Target) Write(m *flow.Message, v value.Value) error {
	if t.inTmp {
		return writeTmp(m, t.path, v)
	}
	if err := m.Body.Set(t.slot, v); err != nil {
		return bodyError(err)
	}
	return nil
}
