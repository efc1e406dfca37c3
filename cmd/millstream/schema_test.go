package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/reference"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// example is a pipeline file that stands somewhere in the repository.
type example struct {
	name string
	text []byte
}

// corpus is every pipeline file there is to try tools on: golden files of findings, examples, scripts.
func corpus(t testing.TB) []example {
	t.Helper()
	var all []example
	for _, glob := range []string{"pipelines/testdata/findings/*.txtar", "testdata/script/*.txtar"} {
		paths, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files match %s: %v", glob, err)
		}
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range archive.Files {
				if strings.HasSuffix(f.Name, ".yaml") {
					all = append(all, example{filepath.Base(path) + "/" + f.Name, f.Data})
				}
			}
		}
	}
	for _, glob := range []string{"pipelines/examples/*.yaml", "testdata/custombuild/*.yaml"} {
		paths, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, example{path, text})
		}
	}
	return all
}

// compileExample compiles with all verbs and connectors; variables need no value.
func compileExample(name string, text []byte) *pipelines.Program {
	s := &streams{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	env := yamldoc.MapEnv{"KAFKA": "a:9092", "AMQP_URL": "amqp://localhost", "LIMIT": "30", "WORD": "hot"}
	p, _ := pipelines.Compile(name, text, pipelines.Options{Registry: s.registry(), Env: env, ForTest: true})
	return p
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	comments, err := reference.Collected()
	if err != nil {
		t.Fatal(err)
	}
	text, err := testGrammar(t, comments).Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("millstream.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("millstream.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON reads YAML as an editor does, dates as texts.
func asJSON(text []byte) (any, error) {
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil {
		return nil, err
	}
	return nodeAsJSON(&n)
}

func nodeAsJSON(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		return nodeAsJSON(n.Content[0])
	case yaml.AliasNode:
		return nodeAsJSON(n.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			x, err := nodeAsJSON(c)
			if err != nil {
				return nil, err
			}
			list = append(list, x)
		}
		return list, nil
	case yaml.MappingNode:
		return mappingAsJSON(n)
	}
	var x any
	if n.ShortTag() == "!!timestamp" {
		return n.Value, nil
	}
	return x, n.Decode(&x)
}

func mappingAsJSON(n *yaml.Node) (any, error) {
	m := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		x, err := nodeAsJSON(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		inner, ok := x.(map[string]any)
		if n.Content[i].Value != "<<" || !ok {
			m[n.Content[i].Value] = x
			continue
		}
		for k, v := range inner {
			if _, own := m[k]; !own {
				m[k] = v
			}
		}
	}
	return m, nil
}

func TestTheSchemaTakesWhatTheCompilerTakes(t *testing.T) {
	schema := compiledSchema(t)
	taken := 0
	for _, e := range corpus(t) {
		if compileExample(e.name, e.text) == nil {
			continue
		}
		taken++
		x, err := asJSON(e.text)
		if err != nil {
			t.Errorf("%s: %v", e.name, err)
			continue
		}
		if err := schema.Validate(x); err != nil {
			t.Errorf("%s: %v\n%s", e.name, err, e.text)
		}
	}
	if taken < 5 {
		t.Errorf("only %d files of the corpus compile", taken)
	}
}

func TestTheSchemaRefusesBrokenFiles(t *testing.T) {
	schema := compiledSchema(t)
	tests := map[string]string{
		"no name":                 "from: { stdin: {} }\nto: { stdout: {} }",
		"an unknown key":          "name: a\nfrom: { stdin: {} }\nto: { stdout: {} }\nstep: []",
		"no source":               "name: a\nto: { stdout: {} }",
		"both shapes":             "name: a\nfrom: { stdin: {} }\nto: { stdout: {} }\nsources: { b: { stdin: {} } }",
		"a source that is a sink": "name: a\nfrom: { stdout: {} }\nto: { stdout: {} }",
		"two connectors":          "name: a\nfrom: { stdin: {}, generate: { body: n } }\nto: { stdout: {} }",
		"a missing option":        "name: a\nfrom: { kafka: { topics: [a], group: g } }\nto: { stdout: {} }",
		"a text for a list":       "name: a\nfrom: { kafka: { brokers: [a], topics: a, group: g } }\nto: { stdout: {} }",
		"an unknown verb":         "name: a\nfrom: { stdin: {} }\nsteps: [{ fliter: a }]\nto: { stdout: {} }",
		"two verbs in a step":     "name: a\nfrom: { stdin: {} }\nsteps: [{ filter: a, split: b }]\nto: { stdout: {} }",
		"a route as a step":       "name: a\nfrom: { stdin: {} }\nsteps: [{ route: { a: else } }]\nto: { stdout: {} }",
		"a word that is none":     "name: a\norder: keys\nfrom: { stdin: {} }\nto: { stdout: {} }",
		"a bool that is none":     "name: a\nfrom: { stdin: {} }\nto: { stdout: {}, optional: yes please }",
		"a size that is none":     "name: a\nlimits: { max_message: big }\nfrom: { stdin: {} }\nto: { stdout: {} }",
		"a node without from":     "name: a\nsources: { b: { stdin: {} } }\nnodes: { c: { filter: x } }\nsinks: { d: { from: c, stdout: {} } }",
		"a test without expect":   "name: a\nfrom: { stdin: {} }\nto: { stdout: {} }\ntests: [{ name: b, send: [] }]",
	}
	for name, text := range tests {
		x, err := asJSON([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if schema.Validate(x) == nil {
			t.Errorf("the schema takes a file with %s", name)
		}
	}
}

func TestTheSchemaSaysWhatKeysAreFor(t *testing.T) {
	comments, err := reference.Collected()
	if err != nil {
		t.Fatal(err)
	}
	text, err := testGrammar(t, comments).Schema()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Group is the consumer group", "Keeps the messages for which an expression is true", "What is promised"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the schema does not say %q", want)
		}
	}
}
