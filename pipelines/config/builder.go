package config

import (
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Builder compiles what a configuration holds. It is made for one node, source or sink.
type Builder struct {
	// Findings takes what is wrong.
	Findings *diag.List
	// Value is the place of the configuration in the file, for findings about the whole.
	Value *yamldoc.Value
	// Name is the node's name in the file.
	Name string
	// Pipeline is the name of the pipeline.
	Pipeline string
	// ExactlyOnce tells that the file asks for delivery: exactly_once.
	ExactlyOnce bool
	// Order is what the file says under order: by_key, source, none; empty where it says nothing.
	Order string
	// Scope is what expressions may see here.
	Scope expression.Scope
	// Dir is the directory of the pipeline file: paths of tables, schemas and TLS files are relative to it.
	Dir string
	// MaxMessage is the pipeline's limit on a payload, in bytes.
	MaxMessage int64
	// Under is set where the first line of each file or stream is a header, if payloads are lines: it makes of that line the coder of the
	// others, as Batch.Coder takes it. Only a source whose payloads are lines uses it.
	Under func(header []byte) document.Coder
	// Head is the line that stands above all others, if payloads are lines: a sink writes it at the beginning of each file or stream. nil
	// is none.
	Head []byte
	// Read are sums of the files that were read while building: what is in them is part of what runs.
	Read []string
	// FileRead, where it is set, is told of each file that is read, or could not be.
	FileRead func(path string, content []byte, err error)
}

// Expression compiles a field; nil when it was not set or has a finding.
func (b *Builder) Expression(e Expression, want expression.Want) *expression.Program {
	return b.ExpressionIn(e, want, b.Scope)
}

// ExpressionIn is Expression in a scope other than the builder's.
func (b *Builder) ExpressionIn(e Expression, want expression.Want, scope expression.Scope) *expression.Program {
	if !e.Set {
		return nil
	}
	p, problems := expression.Compile(e.Scalar.Text, &scope, want)
	if b.Report(&e.Scalar, problems) {
		return nil
	}
	return p
}

// Template compiles a field; nil when it was not set or has a finding.
func (b *Builder) Template(t Template) *expression.Template {
	if !t.Set {
		return nil
	}
	p, problems := expression.CompileTemplate(t.Text.Scalar.Text, &b.Scope)
	if b.Report(&t.Text.Scalar, problems) {
		return nil
	}
	return p
}

// Path declares a body path that a processor reads, such as body.speed; the slot is what Message.Body.Get takes.
func (b *Builder) Path(segments ...document.Segment) document.Slot {
	return b.Scope.Paths.Read(segments...)
}

// WritePath declares a body path that a processor writes.
func (b *Builder) WritePath(segments ...document.Segment) document.Slot {
	return b.Scope.Paths.Write(segments...)
}

// Report adds the problems of a text as findings and tells whether there were any.
func (b *Builder) Report(s *yamldoc.Scalar, problems []expression.Problem) bool {
	for _, p := range problems {
		if p.From == 0 && p.To == 0 {
			b.Findings.Add(s.Whole(diag.Code(p.Code), p.Message, p.Hint))
			continue
		}
		b.Findings.Add(s.Finding(diag.Code(p.Code), p.From, p.To-p.From, p.Message, p.Hint))
	}
	return len(problems) > 0
}
