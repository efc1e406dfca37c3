package yamldoc_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

var update = flag.Bool("update", false, "write the findings into the golden files")

// shape is a configuration with every sort of field.
type shape struct {
	Name     string                 `yaml:"name,raw" required:"true"`
	Sink     *sinkShape             `yaml:"sink"`
	Steps    []stepShape            `yaml:"steps"`
	Topics   []string               `yaml:"topics"`
	Headers  map[string]string      `yaml:"headers"`
	Count    int                    `yaml:"count"`
	Small    uint8                  `yaml:"small"`
	Ratio    float64                `yaml:"ratio"`
	Wait     time.Duration          `yaml:"wait" default:"5s"`
	On       bool                   `yaml:"on"`
	Mode     string                 `yaml:"mode" oneof:"first all" default:"first"`
	Literal  any                    `yaml:"literal"`
	Vars     map[string]any         `yaml:"vars"`
	Filter   expressionShape        `yaml:"filter"`
	Nested   map[string]nestedShape `yaml:"nested"`
	Ignored  string
	OnError  *errorShape `yaml:"on_error"`
	Defaults errorShape  `yaml:"defaults"`
	common   `yaml:",inline"`
}

type common struct {
	Note string `yaml:"note"`
}

type sinkShape struct {
	Kafka   *kafkaShape `yaml:"kafka" required:"true"`
	OnError *errorShape `yaml:"on_error"`
}

type kafkaShape struct {
	Brokers []string `yaml:"brokers" required:"true"`
	Topic   string   `yaml:"topic" required:"true"`
	Version string   `yaml:"version"`
}

type stepShape struct {
	Filter expressionShape `yaml:"filter"`
	Note   string          `yaml:"note"`
}

type errorShape struct {
	Retry int    `yaml:"retry" default:"7"`
	Then  string `yaml:"then"`
}

type nestedShape struct {
	Deep sinkShape `yaml:"deep"`
}

// expressionShape is a field that is an expression: tpoic in it is an unknown name.
type expressionShape struct{ text string }

func (e *expressionShape) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	text, ok := c.Expression(v)
	if !ok {
		return
	}
	e.text = text.Text
	if before, _, found := strings.Cut(text.Text, "tpoic"); found {
		c.Findings.Add(text.Finding(diag.UnknownName, len([]rune(before)), 5, `unknown name "tpoic"`, `did you mean "topic"?`))
	}
}

func testContext(findings *diag.List) *yamldoc.Context {
	return &yamldoc.Context{
		Findings: findings,
		Env:      yamldoc.MapEnv{"KAFKA": "a:9092, b:9092", "EMPTY": "", "PORT": "abc", "NUMBER": "12", "TOKEN": "hunter2"},
		Secret:   func(name string) bool { return name == "TOKEN" },
		ReadFile: func(path string) (string, error) {
			if path == "secret.txt" {
				return "s3cret\n", nil
			}
			return "", os.ErrNotExist
		},
	}
}

// TestFindingsReadAsTheGoldenFilesSay reads every *.yaml of testdata/*.txtar as a shape and compares the printed findings with
// the *.want that follows it.
func TestFindingsReadAsTheGoldenFilesSay(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var updated []txtar.File
		for i, file := range archive.Files {
			name, isInput := strings.CutSuffix(file.Name, ".yaml")
			if !isInput {
				continue
			}
			got := findingsOf(t, file.Data)
			updated = append(updated, file, txtar.File{Name: name + ".want", Data: []byte(got)})
			if *update {
				continue
			}
			t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) {
				if i+1 >= len(archive.Files) || archive.Files[i+1].Name != name+".want" {
					t.Fatal("the golden file has no want behind it")
				}
				if difference := cmp.Diff(string(archive.Files[i+1].Data), got); difference != "" {
					t.Errorf("findings differ (-want +got):\n%s", difference)
				}
			})
		}
		if *update {
			archive.Files = updated
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func findingsOf(t *testing.T, src []byte) string {
	t.Helper()
	var findings diag.List
	if doc := yamldoc.Parse("p.yaml", src, &findings); doc != nil {
		var into shape
		yamldoc.Decode(doc.Root(), &into, testContext(&findings))
	}
	var out strings.Builder
	if err := diag.WriteText(&out, &findings); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
