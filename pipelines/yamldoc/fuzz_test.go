package yamldoc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
)

// eachScalar visits every scalar node once, as written.
func eachScalar(n *yaml.Node, visit func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode && !isEmpty(n) {
		visit(n)
	}
	for _, child := range n.Content {
		eachScalar(child, visit)
	}
}

// checkPositions demands that every rune of every scalar has a place in the file, and that the rune there is the same one
// unless it was escaped or folded.
func checkPositions(t *testing.T, d *Doc) {
	t.Helper()
	eachScalar(d.root, func(n *yaml.Node) {
		if d.broken[n] || d.leftOut(n) {
			return
		}
		s := d.scalar(n, "")
		offsets, _, ok := trace(d.src, s.start, s.Style, s.Text)
		if !ok && len(d.holes) > 0 {
			return // a text that runs over a value that was left out points to its beginning
		}
		if !ok {
			t.Fatalf("no trace of %q, style %d, in %q", s.Text, s.Style, d.src)
		}
		i := 0
		for _, r := range s.Text {
			written, _ := utf8.DecodeRuneInString(d.src[offsets[i]:])
			escaped := s.Style == StyleDoubleQuoted && written == '\\'
			folded := breakLength(d.src[offsets[i]:]) > 0 && (r == ' ' || r == '\n')
			if written != r && !escaped && !folded {
				t.Fatalf("rune %d of %q is %q, the file %q has %q there", i, s.Text, r, d.src, written)
			}
			line, col := s.Position(i)
			checkInside(t, d.src, line, col)
			i++
		}
		line, col := s.Position(i)
		checkInside(t, d.src, line, col)
	})
}

// checkInside demands that a position is in the file, the place behind the last rune of a line included.
func checkInside(t *testing.T, src string, line, col int) {
	t.Helper()
	rows := strings.Split(src, "\n")
	if line < 1 || line > len(rows) || col < 1 || col > utf8.RuneCountInString(rows[line-1])+1 {
		t.Fatalf("position %d:%d is outside of %q", line, col, src)
	}
}

func FuzzPositions(f *testing.F) {
	for _, text := range []string{"a and b", "é \" ' \\ tpoic", "two\nlines\n", "a\n\n  b\n c\n\n", " lead", "trail ", "\ttab",
		strings.Repeat("long words ", 20), "a: b", "# no", "\u0085\u2028", "x\n\n\n", "- y", "", "😀 \x07"} {
		for style := range byte(6) {
			f.Add(text, style, byte(1))
		}
	}
	styles := []yaml.Style{0, yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle, yaml.FlowStyle}
	f.Fuzz(func(t *testing.T, text string, style, depth byte) {
		node := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Style: styles[int(style)%len(styles)] &^ yaml.FlowStyle}
		outer := styles[int(style)%len(styles)] & yaml.FlowStyle
		for range depth % 4 {
			key := &yaml.Node{Kind: yaml.ScalarNode, Value: "é"}
			node = &yaml.Node{Kind: yaml.MappingNode, Style: outer, Content: []*yaml.Node{key, node}}
			node = &yaml.Node{Kind: yaml.SequenceNode, Style: outer, Content: []*yaml.Node{node}}
		}
		var out bytes.Buffer
		if err := encode(&out, node); err != nil {
			return
		}
		var findings diag.List
		if d := Parse("f.yaml", out.Bytes(), &findings); d != nil {
			checkPositions(t, d)
		}
	})
}

func encode(out *bytes.Buffer, node *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("encode: %v", r)
		}
	}()
	return yaml.NewEncoder(out).Encode(node)
}

func FuzzParse(f *testing.F) {
	for _, src := range []string{"a: b", "a: [b, {c: d}]", "a: |2\n   x\n b: c", "a: \"x\" in y", "a: b ? c : d", "&a [*a]",
		"{{ x }}", "a: 'b", "a: [b", "- !x y", "<<: {a: b}", "a: >+\n\n x\n\ty\n", "? a\n: b", "a: *x", "a:\n\t- b", "%x", "@a",
		"a: ${X}", "[${X}]", "---\na\n---\nb", "a\rb\u2028c", "a: {b: c[0]}", "a: \"\\q\"", "a: b\n c: d\n", "--- |\n a", "0: |10x", "&0:0", "[?"} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var findings diag.List
		d := Parse("f.yaml", src, &findings)
		if d == nil && !findings.HasErrors() {
			t.Fatalf("no document and no finding for %q", src)
		}
		text := strings.TrimPrefix(string(src), "\ufeff")
		for _, finding := range findings.All() {
			if finding.Code != diag.BadEncoding {
				checkInside(t, text, finding.Line, finding.Col)
			}
		}
		if d == nil {
			return
		}
		checkPositions(t, d)
		c := &Context{Findings: &findings}
		c.JSONLiteral(d.Root())
		var into struct {
			A string   `yaml:"a" required:"true"`
			B []string `yaml:"b"`
		}
		Decode(d.Root(), &into, c)
		c.Expression(d.Root())
		for _, e := range d.Root().Entries() {
			c.Expression(e.Value)
		}
	})
}
