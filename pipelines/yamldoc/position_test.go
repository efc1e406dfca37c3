package yamldoc_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// parse reads a document that must have no finding.
func parse(t *testing.T, src string) *yamldoc.Doc {
	t.Helper()
	var findings diag.List
	doc := yamldoc.Parse("p.yaml", []byte(src), &findings)
	if findings.Len() > 0 {
		var out strings.Builder
		if err := diag.WriteText(&out, &findings); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("findings in\n%s\n%s", src, out.String())
	}
	return doc
}

// scalars lists every scalar under a value, keys included.
func scalars(v *yamldoc.Value) []yamldoc.Scalar {
	var all []yamldoc.Scalar
	if v.Kind() == yamldoc.KindScalar {
		all = append(all, v.Scalar())
	}
	for _, e := range v.Entries() {
		all = append(all, e.Key)
		all = append(all, scalars(e.Value)...)
	}
	for _, item := range v.Items() {
		all = append(all, scalars(item)...)
	}
	return all
}

func TestPositionLeadsToTheMarkedWordInEveryStyle(t *testing.T) {
	tests := map[string]struct {
		src       string
		line, col int
	}{
		"plain":                              {"a: x and tpoic == 1", 1, 10},
		"plain after é":                      {"é: \"é\"\nb: é and tpoic", 2, 10},
		"plain over lines":                   {"a: x and\n  y and\n    tpoic", 3, 5},
		"plain over lines with an empty one": {"a: x\n\n  tpoic", 3, 3},
		"plain after tabs":                   {"a:\tx \t tpoic", 1, 8},
		"plain after a byte order mark":      {"\ufeffa: x tpoic", 1, 6},
		"plain key":                          {"b: 1\ntpoic: 1", 2, 1},
		"plain in CRLF":                      {"a: x\r\nb: y\r\n   tpoic\r\n", 3, 4},
		"plain after a NEL line break":       {"a: é\u0085b: tpoic", 1, 9},
		"single":                             {"a: 'x tpoic'", 1, 7},
		"single after escaped quote":         {"a: 'it''s é tpoic'", 1, 13},
		"single over lines":                  {"a: 'x\n  y\n\n  é tpoic'", 4, 5},
		"double":                             {"a: \"é tpoic\"", 1, 7},
		"double after escapes":               {`a: "\x41 \u00e9 \" \U0001F600 tpoic"`, 1, 31},
		"double over lines":                  {"a: \"x\n   y  \n   tpoic\"", 3, 4},
		"double with escaped line break":     {"a: \"x\\\n   \\  y tpoic\"", 2, 9},
		"double with escaped break and gap":  {"a: \"x\\\n\n\n   tpoic\"", 4, 4},
		"literal":                            {"a: |\n  x and\n  é tpoic == 1\n", 3, 5},
		"literal deeper":                     {"a:\n  b:\n    - |\n      x\n        tpoic\n", 5, 9},
		"literal after empty lines":          {"a: |\n\n\n  x\n\n  tpoic\n", 6, 3},
		"literal strip":                      {"a: |-\n  x\n  tpoic\n\n", 3, 3},
		"literal keep":                       {"a: |+\n  x\n  tpoic\n\n\n", 3, 3},
		"literal with indentation indicator": {"a: |2\n    x\n   tpoic\n", 3, 4},
		"literal indicator and chomping":     {"a:\n  - |1-\n      x\n    tpoic\n", 4, 5},
		"literal chomping and indicator":     {"a:\n  - |-1\n      x\n    tpoic\n", 4, 5},
		"literal with comment in header":     {"a: | # why\n  x\n  tpoic\n", 3, 3},
		"literal without last line end":      {"a: |\n  x\n  tpoic", 3, 3},
		"literal in CRLF":                    {"a: |\r\n  x\r\n  tpoic\r\n", 3, 3},
		"folded":                             {"a: >\n  x and\n  é tpoic == 1\n", 3, 5},
		"folded with paragraphs":             {"a: >\n  x\n\n\n  y\n  tpoic\n", 6, 3},
		"folded with deeper lines":           {"a: >\n  x\n    y\n    z\n\n  tpoic\n", 6, 3},
		"folded strip":                       {"a: >-\n  x\n  tpoic\n", 3, 3},
		"folded keep with indicator":         {"a: >2+\n    x\n   tpoic\n\n", 3, 4},
		"flow mapping":                       {"a: { b: é, c: x tpoic }", 1, 17},
		"flow list":                          {"a: [ 'é', \"x\", tpoic ]", 1, 16},
		"flow over lines":                    {"a: [ 'é',\n  \"x\", x\n    tpoic ]", 3, 5},
		"flow key":                           {"a: { b: é, tpoic: x }", 1, 12},
		"behind an anchor":                   {"a: &n x tpoic\nb: *n\n", 1, 9},
		"behind an anchor on its own line":   {"a: &n\n  x tpoic\nb: *n\n", 2, 5},
		"literal behind an anchor":           {"a: &n |\n  x\n  tpoic\nb: *n\n", 3, 3},
		"at the top":                         {"- - tpoic", 1, 5},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found := false
			for _, s := range scalars(parse(t, test.src).Root()) {
				at := strings.Index(s.Text, "tpoic")
				if at < 0 {
					continue
				}
				found = true
				line, col := s.Position(utf8.RuneCountInString(s.Text[:at]))
				if line != test.line || col != test.col {
					t.Errorf("tpoic in %q is at %d:%d, want %d:%d", s.Text, line, col, test.line, test.col)
				}
			}
			if !found {
				t.Errorf("no scalar holds tpoic")
			}
		})
	}
}
