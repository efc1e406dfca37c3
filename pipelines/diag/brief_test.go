package diag_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millstream/millstream/pipelines/diag"
)

// long is a list with a finding far inside a line of a million runes, whose message and hint quote all of it.
func long() *diag.List {
	var list diag.List
	line := strings.Repeat("é ", 250_000) + "WRONG" + strings.Repeat(" 漢", 250_000)
	list.AddSource("p.yaml", []byte("name: x\n"+line+"\n"))
	list.Add(diag.Finding{Path: "p.yaml", Line: 2, Col: 500_001, Width: 5, Code: diag.BadValue,
		Message: `"` + strings.Repeat(`a \" b `, 10_000) + `" is no name, and ` + strings.Repeat("x", 10_000) + " neither",
		Hint:    "write " + strings.Repeat("y", 10_000) + "\nor " + strings.Repeat("z z ", 10_000)})
	return &list
}

func TestFindingsOnLongLinesShowWhatIsAroundThem(t *testing.T) {
	got := strings.Split(text(t, long()), "\n")
	if !strings.Contains(got[1], " WRONG ") || strings.Count(got[1], "…") != 2 {
		t.Errorf("the excerpt is %q", got[1])
	}
	if before, marked := got[2], "^^^^^"; !strings.HasSuffix(before, marked) ||
		utf8.RuneCountInString(before)-len(marked) != utf8.RuneCountInString(got[1][:strings.Index(got[1], "WRONG")]) {
		t.Errorf("the caret is misplaced:\n%s\n%s", got[1], got[2])
	}
	for _, line := range got {
		if n := utf8.RuneCountInString(line); n > 1300 {
			t.Errorf("a line has %d runes: %.80s", n, line)
		}
	}
	if first := got[0]; utf8.RuneCountInString(first) > 300 || !strings.Contains(first, `b " is no name, and xxx`) || !strings.Contains(first, "xxx neither [bad-value]") {
		t.Errorf("the message is %s", first)
	}
}

func TestJSONAndGitHubCutLongTextsToo(t *testing.T) {
	var out strings.Builder
	if err := diag.WriteGitHub(&out, long()); err != nil || utf8.RuneCountInString(out.String()) > 1700 || strings.Count(out.String(), "…") < 3 {
		t.Errorf("%v: %s", err, out.String())
	}
	out.Reset()
	if err := diag.WriteJSON(&out, long()); err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Col     int
		EndCol  int `json:"end_col"`
		Message string
		Hint    string
	}
	if err := json.Unmarshal([]byte(out.String()), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v: %s", err, out.String())
	}
	if f := all[0]; f.Col != 500_001 || f.EndCol != 500_006 || utf8.RuneCountInString(f.Message) > 300 || utf8.RuneCountInString(f.Hint) > 1300 {
		t.Errorf("%+v", f)
	}
}

func TestShortTextsAreShownWhole(t *testing.T) {
	var list diag.List
	hint := "known here: " + strings.Repeat("a_key_of_ours, ", 60)
	list.Add(diag.Finding{Path: "p", Message: `"` + strings.Repeat("it's ", 20) + `" stays`, Hint: hint})
	if got := text(t, &list); strings.Contains(got, "…") {
		t.Error(got)
	}
}

func TestWhatIsHiddenMovesTheCaret(t *testing.T) {
	tests := []struct{ line, marked, want string }{
		{"pass: SECRET, x: y", "x", "    1 | pass: ***, x: y\n      |            ^\n"},
		{"pass: SECRET, x: y", "pass", "    1 | pass: ***, x: y\n      | ^^^^\n"},
		{"pass: SECRET, x: y", "SECRET", "    1 | pass: ***, x: y\n      |       ^^^\n"},
		{"pass: SECRET, x: y", "CRE", "    1 | pass: ***, x: y\n      |       ^^^\n"},
		{"pass: SECRET, x: y", ": SECRET, x", "    1 | pass: ***, x: y\n      |     ^^^^^^^^\n"},
		{"é: \"SECRET SECRET\" 漢 x", "x", "    1 | é: \"*** ***\" 漢 x\n      |                 ^\n"},
		{"SECRETSECRET x", "ETSEC", "    1 | ****** x\n      | ^^^^^^\n"},
		{"SECRET x SECRET", "SECRET x SECRET", "    1 | *** x ***\n      | ^^^^^^^^^\n"},
	}
	for _, test := range tests {
		var list diag.List
		list.AddSource("p", []byte(test.line))
		list.Hide(func(line string) (parts [][2]int) {
			for at := 0; ; {
				i := strings.Index(line[at:], "SECRET")
				if i < 0 {
					return parts
				}
				parts = append(parts, [2]int{at + i, at + i + 6})
				at += i + 6
			}
		})
		at := strings.Index(test.line, test.marked)
		list.Add(diag.Finding{Path: "p", Line: 1, Col: utf8.RuneCountInString(test.line[:at]) + 1, Width: utf8.RuneCountInString(test.marked), Message: "m", Code: "c"})
		var merged diag.List
		merged.Merge(&list)
		if got := text(t, &merged); got != "p:1:1: error: m [c]\n"+test.want && !strings.HasSuffix(got, "\n"+test.want) {
			t.Errorf("%s in %s:\n%s", test.marked, test.line, got)
		}
	}
}
