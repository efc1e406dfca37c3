package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
	"github.com/millstream/millstream/internal/textfile"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/schema"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// The limits of schema files: bytes of each, and how many of them one schema may be made of.
const (
	maxSchemaFile  = 1 << 20
	maxSchemaFiles = 100
)

// Schema is a field that holds a JSON Schema: as a mapping, or as the path of a file of JSON or YAML, relative to the pipeline file. A
// $ref may lead to $defs of the same text, and to a file in the directory of the text or below it. Build compiles it with Builder.Schema.
type Schema struct {
	// Set tells that the field was written and has no finding yet.
	Set bool

	value  *yamldoc.Value
	name   yamldoc.Text // of a file
	inline any
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (s *Schema) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	s.value = v
	switch v.Kind() {
	case yamldoc.KindMapping:
		s.inline, s.Set = c.JSONLiteral(v)
	case yamldoc.KindScalar:
		s.name, s.Set = c.Interpolate(v)
		s.Set = s.Set && !s.name.Undefined
	case yamldoc.KindNull, yamldoc.KindSequence:
		c.WrongType(v, "a JSON Schema: a file, or a mapping such as { type: object, properties: {…} }")
	}
}

// Schema compiles a field; nil when it was not set or has a finding. What it reads from files is in b.Read afterwards.
func (b *Builder) Schema(s Schema) *schema.Schema {
	if !s.Set {
		return nil
	}
	r := schemaReader{builder: b, field: &s, root: b.Dir}
	if s.inline != nil {
		return r.compile(filepath.Join(b.Dir, "inline"), s.inline)
	}
	path := s.name.Scalar.Text
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.Dir, path)
	}
	r.root = filepath.Dir(path)
	doc, ok := r.read(path, func() ([]byte, error) { return textfile.Read(path, maxSchemaFile) }, s.name.Shown())
	if !ok {
		return nil
	}
	return r.compile(path, doc)
}

// schemaReader makes one schema of its files.
type schemaReader struct {
	builder *Builder
	field   *Schema
	root    string // no file outside is read for a $ref
	files   int
}

// report adds a finding about the field as a whole.
func (r *schemaReader) report(message, hint string) {
	at := r.place(nil)
	r.builder.Findings.Add(at.Whole(diag.BadSchema, message, hint))
}

func (r *schemaReader) compile(path string, doc any) *schema.Schema {
	root, err := filepath.Abs(r.root)
	if err != nil {
		r.report(err.Error(), "")
		return nil
	}
	address := schemaAddress(filepath.Join(root, filepath.Base(path)))
	s, p := schema.CompileAt(address, doc, func(target string) (any, bool, bool) { return r.refer(root, target) })
	switch {
	case p == nil:
		return s
	case p.Message == "":
	case r.field.inline != nil && (p.Address == address || p.Address == ""):
		at := r.place(p.Path)
		r.builder.Findings.Add(at.Whole(diag.BadSchema, p.Message, p.Hint))
	default:
		where := r.shown(root, p.Address)
		if len(p.Path) > 0 {
			where += " #/" + strings.Join(p.Path, "/")
		}
		r.report(where+": "+p.Message, p.Hint)
	}
	return nil
}

// shown is an address as the pipeline file would name it.
func (r *schemaReader) shown(root, address string) string {
	path, ok := strings.CutPrefix(addressPath(address), root+string(filepath.Separator))
	if !ok {
		return address
	}
	return filepath.Join(r.root, path)
}

func schemaAddress(path string) string {
	u := url.URL{Scheme: "schema", Path: filepath.ToSlash(path)}
	return u.String()
}

// addressPath is the file of an address; "" when it is none.
func addressPath(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "schema" || u.Host != "" {
		return ""
	}
	return filepath.FromSlash(u.Path)
}

// refer reads the file that a $ref leads to, where it is in the schema's directory, links followed.
func (r *schemaReader) refer(root, target string) (doc any, ok, said bool) {
	name, inside := strings.CutPrefix(addressPath(target), root+string(filepath.Separator))
	if !inside {
		return nil, false, false
	}
	if r.files++; r.files >= maxSchemaFiles {
		r.report(fmt.Sprintf("the schema refers to more than %d files", maxSchemaFiles), "")
		return nil, false, true
	}
	path := filepath.Join(r.root, name)
	dir, err := os.OpenRoot(root)
	if err != nil {
		r.report(fmt.Sprintf("cannot read the schema %s: %s", path, err), "")
		return nil, false, true
	}
	defer dir.Close() //nolint:errcheck // read only
	doc, ok = r.read(path, func() ([]byte, error) { return textfile.ReadIn(dir, name, maxSchemaFile) }, strconv.Quote(path))
	return doc, ok, !ok
}

// read reads one file as JSON, or as YAML where it is none.
func (r *schemaReader) read(path string, text func() ([]byte, error), shown string) (doc any, ok bool) {
	src, err := text()
	if told := r.builder.FileRead; told != nil {
		told(path, src, err)
	}
	if err != nil {
		hint := "the path is relative to the pipeline file"
		if r.files > 0 {
			hint = "a $ref is relative to the file that it stands in"
		}
		r.report(fmt.Sprintf("cannot read the schema %s: %s", shown, err), hint)
		return nil, false
	}
	v, err := value.ParseJSON(src)
	switch {
	case err == nil:
		doc = v.Box()
	case isYAML(path, src):
		if doc, ok = r.readYAML(path, src); !ok {
			return nil, false
		}
	default:
		r.badJSON(path, src, err)
		return nil, false
	}
	sum := sha256.Sum256(src)
	r.builder.Read = append(r.builder.Read, hex.EncodeToString(sum[:]))
	return doc, true
}

// isYAML tells whether a text that is no JSON was meant to be YAML.
func isYAML(path string, src []byte) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		return true
	}
	return !strings.HasPrefix(strings.TrimSpace(string(src)), "{")
}

func (r *schemaReader) readYAML(path string, src []byte) (any, bool) {
	findings := &diag.List{}
	var literal any
	if doc := yamldoc.Parse(path, src, findings); doc != nil {
		literal, _ = (&yamldoc.Context{Findings: findings}).JSONLiteral(doc.Root())
	}
	r.builder.Findings.Merge(findings)
	return literal, !findings.HasErrors()
}

// badJSON points at the place where a file is no JSON.
func (r *schemaReader) badJSON(path string, text []byte, err error) {
	var e *syntax.Error
	if !errors.As(err, &e) {
		r.report(fmt.Sprintf("cannot read the schema %s: %s", path, err), "")
		return
	}
	r.builder.Findings.AddSource(path, text)
	before := string(text[:min(e.Offset, len(text))])
	line := strings.LastIndexByte(before, '\n') + 1
	r.builder.Findings.Add(diag.Finding{Path: path, Line: 1 + strings.Count(before, "\n"), Col: 1 + len([]rune(before[line:])), Code: diag.BadSchema,
		Message: "this is no JSON: " + e.Reason})
}

// place is the value in the pipeline file that a path leads to, as far as it does; of an entry of a mapping its key.
func (r *schemaReader) place(path []string) yamldoc.Scalar {
	v := r.field.value
	if v.Kind() == yamldoc.KindScalar {
		return r.field.name.Scalar
	}
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
	if key, ok := v.Key(); ok {
		return key
	}
	return v.Scalar()
}
