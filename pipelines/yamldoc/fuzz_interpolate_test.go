package yamldoc

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
)

// hidden is a secret field.
type hidden struct{ text string }

func (h *hidden) UnmarshalText(b []byte) error { h.text = string(b); return nil }
func (hidden) SecretField()                    {}

// fuzzed is a mapping with the same text in every sort of field that takes variables.
type fuzzed struct {
	Plain  string            `yaml:"plain"`
	Text   Text              `yaml:"text" secrets:"allowed"`
	Hidden hidden            `yaml:"hidden"`
	List   []string          `yaml:"list"`
	Number *int              `yaml:"number"`
	Map    map[string]string `yaml:"map"`
	Raw    string            `yaml:"raw,raw"`
}

func fuzzContext(findings *diag.List) *Context {
	return &Context{
		Findings: findings, Env: MapEnv{"A": "a", "LIST": "x, y,,z", "S": "s3cret-é", "EMPTY": "", "SELF": "${SELF}", "N": "5"},
		Secret: func(name string) bool { return name == "S" },
		ReadFile: func(path string) (string, error) {
			if path != "key" {
				return "", errors.New("no such file")
			}
			return "from-a-file\n", nil
		},
	}
}

// parseScalar writes a text in a style of YAML under key, and reads it back; nil where YAML cannot.
func parseScalar(t *testing.T, key, text string, style byte, findings *diag.List) *Value {
	t.Helper()
	styles := []yaml.Style{0, yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle, yaml.FlowStyle}
	s := styles[int(style)%len(styles)]
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Style: s &^ yaml.FlowStyle}
	switch key {
	case "list":
		node = &yaml.Node{Kind: yaml.SequenceNode, Style: s & yaml.FlowStyle, Content: []*yaml.Node{node}}
	case "map":
		node = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "é"}, node}}
	}
	top := &yaml.Node{Kind: yaml.MappingNode, Style: s & yaml.FlowStyle, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key}, node}}
	var out bytes.Buffer
	if err := encode(&out, top); err != nil {
		return nil
	}
	d := Parse("f.yaml", out.Bytes(), findings)
	if d == nil || findings.Len() > 0 {
		return nil
	}
	return d.Root()
}

func FuzzInterpolation(f *testing.F) {
	for _, text := range []string{"${A}", "a ${A:-b} c", "${NOPE:?why}", "$${A}", "$$${A}", "${", "${}", "${A", "${A:-{}}", "${é}", "${S}", "x${S}${file:key}",
		"${file:}", "${file:none}", "${LIST}", "é\n${A}\n${NOPE}", "${SELF}", "${A:-${B}}", "{{ x }}${N}", "${N}", "$ {A} $", "a\n\n ${EMPTY:-x}\n", "amqp://u:p@h ${A}"} {
		for style := range byte(6) {
			f.Add(text, style)
		}
	}
	f.Fuzz(func(t *testing.T, text string, style byte) {
		for _, key := range []string{"plain", "text", "hidden", "list", "number", "map", "raw"} {
			checkInterpolation(t, key, text, style)
		}
		checkLiteral(t, strings.ReplaceAll(text, "${", "$${"), style)
	})
}

// checkInterpolation demands a value or a finding inside the file, and no secret outside of a secret field.
func checkInterpolation(t *testing.T, key, text string, style byte) {
	var findings diag.List
	root := parseScalar(t, key, text, style, &findings)
	if root == nil {
		return
	}
	var into fuzzed
	c := fuzzContext(&findings)
	if ok := Decode(root, &into, c); ok == findings.HasErrors() {
		t.Fatalf("%s: %q in style %d gives %v with %+v", key, text, style, ok, findings.All())
	}
	for _, finding := range findings.All() {
		checkInside(t, root.doc.src, finding.Line, finding.Col)
	}
	for _, shown := range append([]string{into.Plain, into.Raw, into.Map["é"]}, into.List...) {
		if strings.Contains(shown, "s3cret") && !strings.Contains(text, "s3cret") || strings.Contains(shown, "from-a-file") && !strings.Contains(text, "from-a-file") {
			t.Fatalf("%s: %q shows a secret: %q", key, text, shown)
		}
	}
	if into.Text.Text != "" && into.Text.offsets != nil {
		for i := range utf8.RuneCountInString(into.Text.Text) + 1 {
			line, col := into.Text.Position(i)
			checkInside(t, root.doc.src, line, col)
		}
	}
	if v, _ := root.Lookup(key); key == "text" && v != nil && v.Kind() == KindScalar && !findings.HasErrors() {
		if _, _, holds := FindVariable(v.Scalar().Text); holds != into.Text.Replaced {
			t.Fatalf("%q holds a variable: %v, and one was replaced: %v", v.Scalar().Text, holds, into.Text.Replaced)
		}
	}
}

// checkLiteral demands that a text in which every ${ is written $${ is that text, wherever the style can write it.
func checkLiteral(t *testing.T, escaped string, style byte) {
	var findings diag.List
	root := parseScalar(t, "text", escaped, style, &findings)
	if root == nil {
		return
	}
	v, _ := root.Lookup("text")
	if v.Kind() != KindScalar {
		return
	}
	want := strings.ReplaceAll(v.Scalar().Text, "$${", "${")
	got, ok := fuzzContext(&findings).Interpolate(v)
	if !ok || got.Text != want || got.Tainted || got.Replaced {
		t.Fatalf("%q becomes %q, %+v; want %q", v.Scalar().Text, got.Text, findings.All(), want)
	}
}
