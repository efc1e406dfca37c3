package yamldoc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// outline writes a mapping as key=value pairs, in order, with the alias each value came by.
func outline(v *yamldoc.Value) string {
	var parts []string
	for _, e := range v.Entries() {
		text := e.Key.Text + "=" + e.Value.Scalar().Text
		if alias := e.Value.Alias(); alias != "" {
			text += "*" + alias
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

func TestMergeKeysExpandAndLocalKeysWin(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"local before":   {"b: &b { x: 1, y: 2 }\nv: { x: 3, <<: *b }", "x=3 y=2*b"},
		"local behind":   {"b: &b { x: 1, y: 2 }\nv: { <<: *b, x: 3 }", "y=2*b x=3"},
		"earlier merge":  {"b: &b { x: 1 }\nc: &c { x: 2, y: 2 }\nv: { <<: [*b, *c], z: 3 }", "x=1*b y=2*c z=3"},
		"inline mapping": {"v: { <<: { x: 1 }, y: 2 }", "x=1 y=2"},
		"merge in merge": {"a: &a { x: 1 }\nb: &b { <<: *a, y: 2 }\nv: { <<: *b }", "x=1*a y=2*b"},
		"quoted is text": {"v: { \"<<\": 1 }", "<<=1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, ok := parse(t, test.src).Root().Lookup("v")
			if !ok || outline(v) != test.want {
				t.Errorf("entries are %q, want %q", outline(v), test.want)
			}
		})
	}
}

func TestMergeTellsWhereTheMergeKeyIs(t *testing.T) {
	root := parse(t, "b: &b { x: 1 }\nv:\n  y: 1\n  <<: *b").Root()
	v, _ := root.Lookup("v")
	key, ok := v.Merge()
	if !ok || key.Line != 4 || key.Col != 3 || key.Width != 2 {
		t.Errorf("merge key is %+v, %v, want 4:3", key, ok)
	}
	if _, ok := root.Merge(); ok {
		t.Error("the outer mapping has a merge key")
	}
}

func TestValuesKnowKindPathStyleAndPlace(t *testing.T) {
	doc := parse(t, "a:\n  - { b: 'c', d: }\n  - |\n    text\ne: \"f\" # why\ng: # nothing\n")
	var got []string
	var walk func(v *yamldoc.Value)
	walk = func(v *yamldoc.Value) {
		s := v.Scalar()
		got = append(got, fmt.Sprintf("%s kind %d style %d flow %v %d:%d+%d %q", v.Path(), v.Kind(), v.Style(), v.Flow(), v.Line(), v.Col(), s.Width, v.Comment()))
		for _, e := range v.Entries() {
			walk(e.Value)
		}
		for _, item := range v.Items() {
			walk(item)
		}
	}
	walk(doc.Root())
	want := []string{
		` kind 2 style 0 flow false 1:1+1 ""`,
		`a kind 3 style 0 flow false 2:3+1 ""`,
		`a[0] kind 2 style 5 flow true 2:5+1 ""`,
		`a[0].b kind 1 style 1 flow true 2:10+3 ""`,
		`a[0].d kind 0 style 0 flow true 2:15+1 ""`,
		`a[1] kind 1 style 3 flow false 4:5+4 ""`,
		`e kind 1 style 2 flow false 5:4+3 "# why"`,
		`g kind 0 style 0 flow false 6:1+1 "# nothing"`,
	}
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("values differ (-want +got):\n%s", difference)
	}
}

func TestFindingOfAnAliasedTextPointsAtTheTextAndNamesTheAlias(t *testing.T) {
	root := parse(t, "x: &name é tpoic\ny: *name").Root()
	y, _ := root.Lookup("y")
	s := y.Scalar()
	f := s.Finding(diag.UnknownName, 2, 5, "m", "h")
	if f.Line != 1 || f.Col != 12 || f.Width != 5 || !strings.Contains(f.Note, "*name") {
		t.Errorf("finding is %+v, want it at 1:12 with a note on *name", f)
	}
}

func TestWidthsEndAtTheLine(t *testing.T) {
	root := parse(t, "a: |\n  one two\n  three\nb: \"x\\ty\"").Root()
	a, _ := root.Lookup("a")
	s := a.Scalar()
	if f := s.Finding(diag.ExpressionSyntax, 4, 99, "m", ""); f.Line != 2 || f.Col != 7 || f.Width != 3 {
		t.Errorf("finding is %+v, want two alone to be marked", f)
	}
	b, _ := root.Lookup("b")
	s = b.Scalar()
	if f := s.Finding(diag.ExpressionSyntax, 1, 1, "m", ""); f.Col != 6 || f.Width != 2 {
		t.Errorf("finding is %+v, want the escape marked whole", f)
	}
}

func TestZeroScalarHasNoPlace(t *testing.T) {
	s := yamldoc.Scalar{Text: "a default"}
	if line, col := s.Position(3); line != 0 || col != 0 {
		t.Errorf("position is %d:%d, want none", line, col)
	}
}

func TestParseRefusesWhatIsTooMuch(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 6 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	chain := "a0: &a0 x\n"
	for i := range 250 {
		chain += fmt.Sprintf("a%d: &a%d [*a%d]\n", i+1, i+1, i)
	}
	tests := map[string]struct {
		src  string
		code diag.Code
	}{
		"a megabyte and a byte":       {strings.Repeat("#", yamldoc.MaxSize+1), diag.TooLarge},
		"a megabyte of brackets":      {strings.Repeat("[", yamldoc.MaxSize), diag.TooDeep},
		"a megabyte of braces":        {strings.Repeat("{", yamldoc.MaxSize), diag.TooDeep},
		"a megabyte of dashes":        {strings.Repeat("- ", yamldoc.MaxSize/2), diag.TooDeep},
		"brackets one a line":         {strings.Repeat("[\n", yamldoc.MaxSize/2), diag.TooDeep},
		"201 levels":                  {strings.Repeat("[", 201) + strings.Repeat("]", 201), diag.TooDeep},
		"a chain of aliases":          {chain, diag.TooDeep},
		"a bomb of aliases":           {bomb, diag.AliasBomb},
		"a hundred thousand elements": {"- [" + strings.Repeat("1,", yamldoc.MaxNodes) + "]", diag.TooLarge},
		"UTF-16":                      {"\xff\xfea\x00", diag.BadEncoding},
		"NUL":                         {"a: \x00", diag.BadEncoding},
		"half a rune":                 {"a: é\xc3", diag.BadEncoding},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var findings diag.List
			if doc := yamldoc.Parse("p.yaml", []byte(test.src), &findings); doc != nil {
				t.Error("there is a document")
			}
			if all := findings.All(); len(all) != 1 || all[0].Code != test.code {
				t.Errorf("findings are %+v, want one %s", all, test.code)
			}
		})
	}
}

func TestParseTakesWhatIsJustWithinTheLimits(t *testing.T) {
	parse(t, strings.Repeat("[", 199)+"x"+strings.Repeat("]", 199))
	parse(t, "a: x #"+strings.Repeat("é", yamldoc.MaxSize/2-3))
}

func TestBadBytesAreFoundWhereTheyStand(t *testing.T) {
	var findings diag.List
	yamldoc.Parse("p.yaml", []byte("\ufeffé: 1\nä: é\xffx\n"), &findings)
	if f := findings.All()[0]; f.Line != 2 || f.Col != 5 {
		t.Errorf("finding is at %d:%d, want 2:5", f.Line, f.Col)
	}
}

func TestCustomDecodersShareUnknownKeys(t *testing.T) {
	doc := parse(t, "outer:\n  inner: { name: 1, innr: 2 }\n  other: 3")
	var findings diag.List
	c := &yamldoc.Context{Findings: &findings}
	outer, _ := doc.Root().Lookup("outer")
	leave := c.Enter(doc.Root(), "outer", "name")
	inner, _ := outer.Lookup("inner")
	for _, e := range inner.Entries() {
		c.UnknownKey(e, []string{"inner"})
	}
	leave()
	all := findings.All()
	if len(all) != 2 || all[0].Code != diag.MisplacedKey || all[1].Code != diag.UnknownKey || all[1].Hint != `did you mean "inner"?` {
		t.Errorf("findings are %+v, want a misplaced name and an unknown innr", all)
	}
}

func TestOrderedEntriesRefuseMergeKeys(t *testing.T) {
	v, _ := parse(t, "b: &b { x: 1 }\nv:\n  y: 1\n  <<: *b\n  z: 2").Root().Lookup("v")
	var findings diag.List
	entries := (&yamldoc.Context{Findings: &findings}).OrderedEntries(v)
	if len(entries) != 2 || entries[1].Key.Text != "z" {
		t.Errorf("entries are %+v, want y and z", entries)
	}
	if all := findings.All(); len(all) != 1 || all[0].Code != diag.MergeInOrdered || all[0].Line != 4 {
		t.Errorf("findings are %+v, want one in line 4", all)
	}
}

func TestMappingsCanBeReadWithoutKeysAndOverOthers(t *testing.T) {
	root := parse(t, "v: { a: 1, b: 2 }\nbase: { c: 3 }").Root()
	v, _ := root.Lookup("v")
	base, _ := root.Lookup("base")
	got := v.Without(func(key string) bool { return key == "a" }).Over(base)
	if outline(got) != "c=3 b=2" || outline(v) != "a=1 b=2" {
		t.Errorf("entries are %q of %q, want c=3 b=2 of a=1 b=2", outline(got), outline(v))
	}
}
