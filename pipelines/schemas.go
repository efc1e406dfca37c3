package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/schema"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// sourceSchema is the schema of a source; nil has none.
type sourceSchema struct {
	schema *schema.Schema
	sum    string // of its text, and of the files that it refers to
}

// loadSchema reads a schema that stands in the pipeline file, or in a file of its own; nil when it has a finding.
func (l *loader) loadSchema(v *yamldoc.Value) *sourceSchema {
	var field config.Schema
	if v.Broken() || !yamldoc.Decode(v, &field, l.context) {
		return nil
	}
	b := config.Builder{Findings: l.findings, Dir: filepath.Dir(l.path), FileRead: l.opts.read}
	s := b.Schema(field)
	if s == nil {
		return nil
	}
	return &sourceSchema{schema: s, sum: l.hash(v) + strings.Join(b.Read, "|")}
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
	put(sum, l.read...)
	return hex.EncodeToString(sum.Sum(nil))
}
