package diag_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/pipelines/diag"
)

func TestTextShowsTheLineWithACaretUnderTheRunes(t *testing.T) {
	tests := map[string]struct {
		source           string
		line, col, width int
		want             string
	}{
		"plain":              {"a\nb tpoic == 1\n", 2, 3, 5, "    2 | b tpoic == 1\n      |   ^^^^^\n"},
		"tabs":               {"\ta\ttpoic", 1, 4, 5, "    1 | \ta\ttpoic\n      | \t \t^^^^^\n"},
		"wide":               {"日本 tpoic", 1, 4, 5, "    1 | 日本 tpoic\n      |      ^^^^^\n"},
		"marked wide":        {"日本 x", 1, 1, 2, "    1 | 日本 x\n      | ^^^^\n"},
		"combining":          {"e\u0301 tpoic", 1, 4, 5, "    1 | e\u0301 tpoic\n      |   ^^^^^\n"},
		"emoji":              {"😀 x", 1, 3, 1, "    1 | 😀 x\n      |    ^\n"},
		"accent":             {"é x", 1, 3, 1, "    1 | é x\n      |   ^\n"},
		"control":            {"a\x1b[2J x", 1, 7, 1, "    1 | a\\x1b[2J x\n      |          ^\n"},
		"bidi":               {"\u202ea", 1, 2, 1, "    1 | \\u202ea\n      |       ^\n"},
		"behind the end":     {"ab", 1, 3, 1, "    1 | ab\n      |   ^\n"},
		"far behind the end": {"ab", 1, 30, 1, "    1 | ab\n      |   ^\n"},
		"too wide":           {"ab", 1, 2, 99, "    1 | ab\n      |  ^\n"},
		"empty line":         {"\n", 1, 1, 1, "    1 |\n      | ^\n"},
		"CRLF":               {"ab\r\ncd\r\n", 1, 2, 9, "    1 | ab\n      |  ^\n"},
		"byte order mark":    {"\ufeffab", 1, 2, 1, "    1 | ab\n      |  ^\n"},
		"no such line":       {"a\nb", 3, 1, 1, ""},
		"not UTF-8":          {"\xff\xfe x", 1, 4, 1, "    1 | \ufffd\ufffd x\n      |    ^\n"},
		"long line": {strings.Repeat("x", 300) + "tpoic" + strings.Repeat("y", 300), 1, 301, 5,
			"    1 | …" + strings.Repeat("x", 60) + "tpoic" + strings.Repeat("y", 95) + "…\n" +
				"      | " + strings.Repeat(" ", 61) + "^^^^^\n"},
		"start of a long line": {strings.Repeat("x", 300), 1, 1, 300,
			"    1 | " + strings.Repeat("x", 160) + "…\n      | " + strings.Repeat("^", 160) + "\n"},
		"end of a long line": {strings.Repeat("x", 300), 1, 300, 1,
			"    1 | …" + strings.Repeat("x", 160) + "\n      | " + strings.Repeat(" ", 160) + "^\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var list diag.List
			list.AddSource("p.yaml", []byte(test.source))
			list.Add(diag.Finding{Path: "p.yaml", Line: test.line, Col: test.col, Width: test.width, Code: "c", Message: "m"})
			_, got, _ := strings.Cut(text(t, &list), "\n")
			if difference := cmp.Diff(test.want, got); difference != "" {
				t.Errorf("excerpt differs (-want +got):\n%s", difference)
			}
		})
	}
}

func TestTextShowsSeveralFindingsOfSeveralFiles(t *testing.T) {
	var list diag.List
	list.AddSource("a", []byte("one\ntwo\nthree"))
	list.AddSource("b", []byte("only"))
	for _, f := range []diag.Finding{{Path: "b", Line: 1, Col: 1}, {Path: "a", Line: 3, Col: 2}, {Path: "a", Line: 4, Col: 1},
		{Path: "a", Line: 1, Col: 1}, {Path: "a", Line: 3, Col: 1}, {Path: "unknown", Line: 1, Col: 1}} {
		f.Code, f.Message = "c", "m"
		list.Add(f)
	}
	want := `a:1:1: error: m [c]
    1 | one
      | ^
a:3:1: error: m [c]
    3 | three
      | ^
a:3:2: error: m [c]
    3 | three
      |  ^
a:4:1: error: m [c]
b:1:1: error: m [c]
    1 | only
      | ^
unknown:1:1: error: m [c]
`
	if difference := cmp.Diff(want, text(t, &list)); difference != "" {
		t.Errorf("text differs (-want +got):\n%s", difference)
	}
}

func sample() *diag.List {
	var list diag.List
	list.AddSource("pipelines/orders.yaml", []byte(strings.Repeat("\n", 7)+"        and tpoic == 1\n"))
	list.Add(diag.Finding{Path: "pipelines/orders.yaml", Line: 8, Col: 13, Width: 5, Code: diag.UnknownName,
		Message: `unknown name "tpoic"`, Hint: "did you mean \"topic\"?"})
	list.Add(diag.Finding{Path: "a,b:100%.yaml", Line: 2, Col: 1, Width: 1, Severity: diag.Warning, Code: diag.BadValue,
		Message: "50%\nand\x1b[1m more <b>", Hint: "two\nlines", Note: "a note"})
	return &list
}

func TestWriteKnowsEveryFormat(t *testing.T) {
	tests := map[diag.Format]string{
		diag.FormatText: `a,b:100%.yaml:2:1: warning: 50%\nand\x1b[1m more <b> [bad-value]
      note: a note
      hint: two
            lines
pipelines/orders.yaml:8:13: error: unknown name "tpoic" [unknown-name]
    8 |         and tpoic == 1
      |             ^^^^^
      hint: did you mean "topic"?
`,
		diag.FormatJSON: `[
  {
    "path": "a,b:100%.yaml",
    "line": 2,
    "col": 1,
    "end_col": 2,
    "severity": "warning",
    "code": "bad-value",
    "message": "50%\nand\u001b[1m more <b>",
    "hint": "two\nlines",
    "note": "a note"
  },
  {
    "path": "pipelines/orders.yaml",
    "line": 8,
    "col": 13,
    "end_col": 18,
    "severity": "error",
    "code": "unknown-name",
    "message": "unknown name \"tpoic\"",
    "hint": "did you mean \"topic\"?"
  }
]
`,
		diag.FormatGitHub: "::warning file=a%2Cb%3A100%25.yaml,line=2,col=1::50%25%0Aand\x1b[1m more <b> [bad-value]%0Anote: a note%0Ahint: two%0Alines\n" +
			"::error file=pipelines/orders.yaml,line=8,col=13::unknown name \"tpoic\" [unknown-name]%0Ahint: did you mean \"topic\"?\n",
	}
	for format, want := range tests {
		t.Run(string(format), func(t *testing.T) {
			var out strings.Builder
			if err := diag.Write(&out, format, sample()); err != nil {
				t.Fatal(err)
			}
			if difference := cmp.Diff(want, out.String()); difference != "" {
				t.Errorf("output differs (-want +got):\n%s", difference)
			}
		})
	}
}

func TestWriteRefusesAnUnknownFormat(t *testing.T) {
	var out strings.Builder
	if err := diag.Write(&out, "xml", sample()); err == nil {
		t.Error("format xml is accepted")
	}
}

func TestJSONOfNoFindingsIsAnEmptyArray(t *testing.T) {
	var out strings.Builder
	if err := diag.WriteJSON(&out, &diag.List{}); err != nil || out.String() != "[]\n" {
		t.Errorf("got %q, %v; want an empty array", out.String(), err)
	}
}
