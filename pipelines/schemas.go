package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/schema"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// maxSchema is the most bytes that a schema file may have.
const maxSchema = 1 << 20

// sourceSchema is the schema of a source; nil has none.
type sourceSchema struct {
	schema *schema.Schema
	sum    string // of its text
}

// loadSchema reads a schema that stands in the pipeline file, or in a file of its own; nil when it has a finding.
func (l *loader) loadSchema(v *yamldoc.Value) *sourceSchema {
	if v.Broken() {
		return nil
	}
	if v.Kind() != yamldoc.KindMapping {
		return l.schemaFile(v)
	}
	doc, ok := l.context.JSONLiteral(v)
	if !ok {
		return nil
	}
	s, p := schema.Compile(doc)
	if p != nil {
		at := placeIn(v, p.Path)
		l.findings.Add(at.Whole(diag.BadSchema, p.Message, p.Hint))
		return nil
	}
	return &sourceSchema{schema: s, sum: l.hash(v)}
}

func (l *loader) schemaFile(v *yamldoc.Value) *sourceSchema {
	if v.Kind() != yamldoc.KindScalar {
		l.context.WrongType(v, "a JSON Schema: a file, or a mapping such as { type: object, properties: {…} }")
		return nil
	}
	name, ok := l.context.Interpolate(v)
	if !ok {
		return nil
	}
	path := name.Scalar.Text
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.path), path)
	}
	text, err := l.readFile(path, maxSchema)
	if err != nil {
		l.findings.Add(name.Whole(diag.BadSchema, fmt.Sprintf("cannot read the schema %s: %s", name.Shown(), err), "the path is relative to the pipeline file"))
		return nil
	}
	doc, err := value.ParseJSON(text)
	if err != nil {
		l.badSchemaText(&name, path, text, err)
		return nil
	}
	s, p := schema.Compile(doc.Box())
	if p != nil {
		where := ""
		if len(p.Path) > 0 {
			where = " #/" + strings.Join(p.Path, "/")
		}
		l.findings.Add(name.Whole(diag.BadSchema, fmt.Sprintf("%s%s: %s", path, where, p.Message), p.Hint))
		return nil
	}
	sum := sha256.Sum256(text)
	return &sourceSchema{schema: s, sum: hex.EncodeToString(sum[:])}
}

// badSchemaText points at the place where a file is no JSON.
func (l *loader) badSchemaText(name *yamldoc.Text, path string, text []byte, err error) {
	var e *syntax.Error
	if !errors.As(err, &e) {
		l.findings.Add(name.Whole(diag.BadSchema, fmt.Sprintf("cannot read the schema %s: %s", name.Shown(), err), ""))
		return
	}
	l.findings.AddSource(path, text)
	before := string(text[:min(e.Offset, len(text))])
	line := strings.LastIndexByte(before, '\n') + 1
	l.findings.Add(diag.Finding{Path: path, Line: 1 + strings.Count(before, "\n"), Col: 1 + len([]rune(before[line:])), Code: diag.BadSchema,
		Message: "this is no JSON: " + e.Reason})
}

// placeIn is the value that a path leads to, as far as it does; of an entry of a mapping its key.
func placeIn(v *yamldoc.Value, path []string) yamldoc.Scalar {
	for _, name := range path {
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v.Items()) {
			v = v.Items()[i]
			continue
		}
		next, ok := v.Lookup(name)
		if !ok {
			break
		}
		v = next
	}
	if v.Kind() == yamldoc.KindScalar {
		return v.Scalar()
	}
	return place(v)
}

// check judges a message; nil without a schema. A missing payload is judged as the null that it reads as.
func (s *sourceSchema) check() func(m *flow.Message) error {
	if s == nil {
		return nil
	}
	return func(m *flow.Message) error {
		v, err := m.Body.Get(document.Root)
		if err != nil {
			return flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
		}
		return s.schema.Check(v)
	}
}

// hash is the part of a schema in the hash of its source.
func (s *sourceSchema) hash() string {
	if s == nil {
		return ""
	}
	return "|schema:" + s.sum
}

// wholeHash is the hash of the file, with the schemas that stand in files of their own.
func (l *loader) wholeHash(top *yamldoc.Value) string {
	sum := sha256.New()
	put(sum, l.hash(top))
	for _, p := range l.parts {
		put(sum, p.schema.hash())
	}
	return hex.EncodeToString(sum.Sum(nil))
}
