// Package tree holds the tests of the repository's shape: who imports whom, and how long files and functions are. It
// has no code of its own and is imported by nobody.
package tree

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// root is the repository's root, seen from this package.
const root = "../.."

func readRepository(t *testing.T) map[string]*source {
	t.Helper()
	gomod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(gomod, []byte("module "+module+"\n")) {
		t.Fatalf("%s/go.mod does not begin with module %s", root, module)
	}
	sources, err := read(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		t.Fatal("no Go file was found")
	}
	return sources
}

func TestImportsPointOneWay(t *testing.T) {
	report(t, importOffences(readRepository(t), importRules))
}

func TestFilesAndFunctionsKeepTheLimits(t *testing.T) {
	report(t, shapeOffences(readRepository(t)))
}

func report(t *testing.T, offences []string) {
	t.Helper()
	for _, offence := range offences {
		t.Error(offence)
	}
}

func TestForbiddenImportsAreFound(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string // file → packages that it imports
		want  []string
	}{
		{
			name: "the whole permitted direction is silent",
			files: map[string]string{
				"cmd/millstream/main.go":     "engine connectors/kafka nodes/filter",
				"engine/engine.go":           "pipelines flow",
				"connectors/kafka/source.go": "flow pipelines/config",
				"nodes/filter/filter.go":     "flow pipelines/expression",
				"pipelines/pipelines.go":     "flow flow/value pipelines/diag",
				"pipelines/config/config.go": "",
				"flow/flow.go":               "flow/value",
			},
		},
		{
			name:  "an engine that knows a connector",
			files: map[string]string{"engine/run.go": "connectors/kafka", "connectors/kafka/kafka.go": ""},
			want:  []string{"engine/run.go imports connectors/kafka; engine may import: ., flow, internal, pipelines"},
		},
		{
			name:  "flow knows nothing else of ours",
			files: map[string]string{"flow/flow.go": "pipelines/diag"},
			want:  []string{"flow/flow.go imports pipelines/diag; flow may import: ."},
		},
		{
			name:  "a node may use the vocabulary but not the compiler",
			files: map[string]string{"nodes/filter/a.go": "pipelines/yamldoc", "nodes/filter/b.go": "pipelines"},
			want: []string{"nodes/filter/b.go imports pipelines; nodes may import: ., internal, flow, pipelines/config, " +
				"pipelines/diag, pipelines/expression, pipelines/yamldoc"},
		},
		{
			name: "a forbidden folder reached through a permitted one",
			files: map[string]string{
				"connectors/kafka/kafka.go": "internal/admin",
				"internal/admin/admin.go":   "engine",
				"engine/engine.go":          "",
			},
			want: []string{"connectors/kafka reaches engine: connectors/kafka → internal/admin → engine"},
		},
		{
			name:  "a name that only begins like a permitted folder",
			files: map[string]string{"flow/flow.go": "flowchart"},
			want:  []string{"flow/flow.go imports flowchart; flow may import: ."},
		},
		{
			name:  "a folder without a rule",
			files: map[string]string{"helpers/a.go": ""},
			want:  []string{"helpers: no rule says what this folder may import"},
		},
		{
			name:  "tests and testdata are free",
			files: map[string]string{"flow/flow_test.go": "engine", "flow/testdata/x.go": "engine", "flow/flow.go": ""},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for file, imports := range test.files {
				text := "package p\n"
				for imported := range strings.FieldsSeq(imports) {
					text += "import _ \"" + module + "/" + imported + "\"\n"
				}
				tree[file] = &fstest.MapFile{Data: []byte(text)}
			}
			sources, err := read(tree)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, importOffences(sources, importRules)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOffencesAgainstTheLimitsAreFound(t *testing.T) {
	function := func(name string, lines int) string {
		return "func " + name + "() {\n" + strings.Repeat("\tprintln()\n", lines) + "}\n"
	}
	tests := []struct {
		name, text string
		want       []string
	}{
		{name: "the longest permitted function", text: "package p\n" + function("f", maxFunctionLines)},
		{
			name: "a function one line longer",
			text: "package p\n" + function("f", maxFunctionLines+1),
			want: []string{"p/p.go:2: f has 71 lines, the limit is 70"},
		},
		{
			name: "a file that is too long",
			text: "package p\n" + strings.Repeat("\n", maxFileLines),
			want: []string{"p/p.go: 501 lines, the limit is 500"},
		},
		{name: "the longest permitted file", text: "package p\n" + strings.Repeat("\n", maxFileLines-1)},
		{
			name: "an init function",
			text: "package p\n" + function("init", 1),
			want: []string{"p/p.go:2: init: no package does anything when it is imported"},
		},
		{name: "a method of that name", text: "package p\ntype t int\nfunc (t) init() {}\n"},
		{
			name: "generated code",
			text: "// Code generated by a test. DO NOT EDIT.\n\npackage p\n" + function("init", maxFileLines),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sources, err := read(fstest.MapFS{"p/p.go": &fstest.MapFile{Data: []byte(test.text)}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, shapeOffences(sources)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
