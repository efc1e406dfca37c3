package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// schemaOf compiles the schema: of a file with this text in a directory.
func schemaOf(t *testing.T, dir, text string) (found *diag.List, check func(body string) error, read []string) {
	t.Helper()
	found = &diag.List{}
	var c struct {
		Schema config.Schema `yaml:"schema"`
	}
	if !yamldoc.Decode(yamldoc.Parse("p.yaml", []byte(text), found).Root(), &c, &yamldoc.Context{Findings: found}) {
		return found, nil, nil
	}
	b := config.Builder{Findings: found, Dir: dir}
	s := b.Schema(c.Schema)
	if s == nil {
		return found, nil, b.Read
	}
	return found, func(body string) error {
		v, err := value.ParseJSON([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return s.Check(v)
	}, b.Read
}

func TestASchemaMayBeInlineOrAFileOfJSONOrYAMLWithReferencesBesideIt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": "properties: { n: { $ref: sub/b.json } }\n", "a.json": `{"properties": {"n": {"$ref": "sub/b.json"}}}`,
		"sub/b.json": `{"$ref": "c.yml#/$defs/n"}`, "sub/c.yml": "$defs: { n: { type: integer } }\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	for text, files := range map[string]int{
		"schema: a.yaml": 3, "schema: a.json": 3, `schema: { properties: { n: { $ref: "sub/b.json" } } }`: 2,
		`schema: { properties: { n: { $ref: "#/definitions/n" } }, definitions: { n: { type: integer } } }`: 0,
	} {
		found, check, read := schemaOf(t, dir, text)
		if check == nil {
			t.Errorf("%s: %+v", text, found.All())
			continue
		}
		if err := check(`{"n": 5}`); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := check(`{"n": "x"}`); err == nil || err.Error() != "body.n is string, and must be integer" {
			t.Errorf("%s: %v", text, err)
		}
		if len(read) != files {
			t.Errorf("%s: read %d files, want %d", text, len(read), files)
		}
	}
}

func TestNoReferenceLeavesTheDirectoryOfItsSchema(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret.json"), `{"type": "string"}`)
	write(t, filepath.Join(dir, "schemas", "a.json"), `{"$ref": "link.json"}`)
	if err := os.Symlink("../secret.json", filepath.Join(dir, "schemas", "link.json")); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"schema: schemas/a.json", `schema: { $ref: "../secret.json" }`, `schema: { $ref: "schema:///etc/passwd" }`, `schema: { $ref: "%2e%2e/secret.json" }`,
		`schema: { $ref: "file:///etc/passwd" }`, `schema: { $ref: "//host/a.json" }`, `schema: { $ref: "https://example.com/a.json" }`,
	} {
		found, check, _ := schemaOf(t, filepath.Join(dir, "schemas", ".."), text)
		if check != nil || found.ErrorCount() != 1 {
			t.Errorf("%s: %+v", text, found.All())
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
