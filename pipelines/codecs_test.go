package pipelines_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millstream/millstream/pipelines"
)

const codedFile = `name: x
from: { stdin: {}, decode: DECODE }
steps:
  - filter: body.device == "d1"
to: { stdout: {}, encode: ENCODE }
`

const twoFields = `{"type":"record","name":"R","fields":[{"name":"device","type":"string"},{"name":"n","type":"long"}]}`

// compiledWith compiles a file with these codecs in a folder with schemas.
func compiledWith(t *testing.T, dir, decode, encode string) *pipelines.Program {
	t.Helper()
	text := strings.NewReplacer("DECODE", decode, "ENCODE", encode).Replace(codedFile)
	prog, findings := pipelines.Compile(filepath.Join(dir, "x.yaml"), []byte(text), pipelines.Options{Registry: registry()})
	if prog == nil {
		t.Fatalf("%s, %s: %v", decode, encode, findings.All())
	}
	return prog
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatCodecsAndTheirSchemasSayIsPartOfTheHash(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "r.avsc", twoFields)
	write(t, dir, "more/b.proto", "syntax = \"proto3\"; package p; message B { string x = 1; }\n")
	write(t, dir, "a.proto", "syntax = \"proto3\"; package p; import \"b.proto\"; message A { string device = 1; B b = 2; }\n")
	const avro, proto = "{ avro: { schema: r.avsc } }", "{ protobuf: { file: a.proto, message: p.A, import_paths: [., more] } }"
	hashes := map[string]string{}
	add := func(what string, prog *pipelines.Program) {
		for part, hash := range map[string]string{"file": prog.Hash, "parts": prog.Sources[0].Hash + prog.Sinks[0].Hash} {
			if other, twice := hashes[part+hash]; twice {
				t.Errorf("%s and %s have the same hash of the %s", what, other, part)
			}
			hashes[part+hash] = what
		}
	}
	add("json", compiledWith(t, dir, "json", "json"))
	add("csv", compiledWith(t, dir, "json", "csv"))
	add("csv with ;", compiledWith(t, dir, "json", `{ csv: { delimiter: ";" } }`))
	add("gzip", compiledWith(t, dir, "[gzip, json]", "json"))
	add("avro", compiledWith(t, dir, avro, "json"))
	add("protobuf", compiledWith(t, dir, proto, "json"))
	write(t, dir, "r.avsc", strings.Replace(twoFields, "long", "int", 1))
	add("avro with another schema", compiledWith(t, dir, avro, "json"))
	write(t, dir, "more/b.proto", "syntax = \"proto3\"; package p; message B { string y = 1; }\n")
	add("protobuf with another import", compiledWith(t, dir, proto, "json"))
	if again := compiledWith(t, dir, proto, "json"); hashes["file"+again.Hash] == "" {
		t.Error("compiled twice, one file has two hashes")
	}
}

func TestSchemasOfCodecsTypeTheBody(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "r.avsc", twoFields)
	write(t, dir, "a.proto", "syntax = \"proto3\"; message A { string device = 1; oneof o { int64 n = 2; bytes raw = 3; } A next = 4; repeated A list = 5; }\n")
	const avro, proto = `{ avro: { schema: r.avsc } }`, `{ protobuf: { file: a.proto, message: A } }`
	for _, head := range []string{
		"from: { stdin: {}, decode: " + avro + " }\nsteps:\n", "from: { stdin: {}, decode: [base64, " + proto + "] }\nsteps:\n",
		"from: { stdin: {}, decode: bytes }\nsteps:\n  - decode: " + avro + "\n",
	} {
		for filter, want := range map[string]string{"body.devise == 5": "unknown-field", "body.device > 5": "type-mismatch", `body.n == 1 and body.device == "d"`: ""} {
			src := "name: x\n" + head + "  - filter: " + filter + "\nto: { stdout: {}, encode: json }\n"
			_, findings := pipelines.Compile(filepath.Join(dir, "x.yaml"), []byte(src), pipelines.Options{Registry: registry()})
			all := findings.All()
			if want == "" && len(all) > 0 || want != "" && (len(all) != 1 || string(all[0].Code) != want) {
				t.Errorf("%s: %v, want %s", src, all, want)
			}
		}
	}
}

func TestABrokenSchemaIsNamedByItsPlace(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bad.avsc", `{"type":"record"}`)
	write(t, dir, "bad.proto", "syntax = \"proto3\";\nmessage A {\n  strin a = 1;\n}\n")
	write(t, dir, "lost.proto", "syntax = \"proto3\";\nimport \"nowhere.proto\";\nmessage A {}\n")
	write(t, dir, "out.proto", "syntax = \"proto3\";\nimport \"../secret.proto\";\nmessage A {}\n")
	for decode, want := range map[string]string{
		"{ avro: { schema: bad.avsc } }":                    "x.yaml:2:46",
		"{ protobuf: { file: bad.proto, message: A } }":     "bad.proto:3:3",
		"{ protobuf: { file: lost.proto, message: A } }":    "lost.proto:2:8",
		"{ protobuf: { file: out.proto, message: A } }":     "out.proto:2:8",
		"{ avro: { schema: r.avsc } }":                      "x.yaml:2:46",
		"{ avro: { schema: bad.avsc, schema_id: 5 } }":      "x.yaml:2:30",
		"{ csv: { header: [a, a] } }":                       "x.yaml:2:30",
		"{ csv: { header: [a], columns: [a] } }":            "x.yaml:2:30",
		"{ csv: { header: maybe } }":                        "x.yaml:2:45",
		"{ protobuf: { file: missing.proto, message: A } }": "x.yaml:2:48",
		"{ csv: { types: { a: date } } }":                   "x.yaml:2:",
	} {
		src := "name: x\nfrom: { stdin: {}, decode: " + decode + " }\nto: { stdout: {} }\n"
		prog, findings := pipelines.Compile(filepath.Join(dir, "x.yaml"), []byte(src), pipelines.Options{Registry: registry()})
		all := findings.All()
		if prog != nil || len(all) != 1 {
			t.Errorf("%s: %d findings: %v", decode, len(all), all)
			continue
		}
		if got := fmt.Sprintf("%s:%d:%d", filepath.Base(all[0].Path), all[0].Line, all[0].Col); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s %s, want %s", decode, got, all[0].Message, want)
		}
	}
}
