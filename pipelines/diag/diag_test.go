package diag_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/pipelines/diag"
)

func TestListSortsAndDropsRepeats(t *testing.T) {
	var list diag.List
	list.Add(diag.Finding{Path: "b", Line: 1, Col: 1, Message: "b"})
	list.Add(diag.Finding{Path: "a", Line: 10, Col: 2, Message: "later"})
	list.Add(diag.Finding{Path: "a", Line: 9, Col: 7, Severity: diag.Warning, Message: "warned"})
	list.Add(diag.Finding{Path: "a", Line: 9, Col: 3, Message: "first"})
	list.Add(diag.Finding{Path: "a", Line: 9, Col: 3, Message: "first", Note: "through an alias"})
	list.Add(diag.Finding{Path: "a", Message: "no place"})
	var got []string
	for _, f := range list.All() {
		got = append(got, f.Path+" "+f.Message+f.Note)
	}
	want := []string{"a no place", "a first", "a warned", "a later", "b b"}
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("order differs (-want +got):\n%s", difference)
	}
	if n := len(list.Errors()); n != 4 || list.ErrorCount() != 4 || list.Len() != 5 {
		t.Errorf("%d errors, counted %d, of %d findings; want 4, 4 of 5", n, list.ErrorCount(), list.Len())
	}
}

func TestListHasErrorsOnlyWithAnError(t *testing.T) {
	var list diag.List
	list.Add(diag.Finding{Path: "a", Severity: diag.Warning})
	if list.HasErrors() {
		t.Error("a warning counts as an error")
	}
	list.Add(diag.Finding{Path: "a"})
	if !list.HasErrors() {
		t.Error("an error does not count")
	}
}

func TestMergeBringsFindingsAndSources(t *testing.T) {
	var all, other diag.List
	other.AddSource("p", []byte("text\n"))
	other.Add(diag.Finding{Path: "p", Line: 1, Col: 1, Width: 4, Code: diag.BadValue, Message: "m"})
	all.Merge(&other)
	want := "p:1:1: error: m [bad-value]\n    1 | text\n      | ^^^^\n"
	if got := text(t, &all); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func text(t *testing.T, list *diag.List) string {
	t.Helper()
	var out strings.Builder
	if err := diag.WriteText(&out, list); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestCodesListsEveryCodeOnceInKebabCase(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[diag.Code]bool{}
	for _, c := range diag.Codes() {
		if seen[c.Code] || !form.MatchString(string(c.Code)) || c.Doc == "" {
			t.Errorf("code %q is listed twice, not in kebab case or undocumented", c.Code)
		}
		seen[c.Code] = true
	}
}

func TestSuggestFindsTheWordThatWasMeant(t *testing.T) {
	tests := []struct{ word, candidates, want string }{
		{"tpoic", "topics topic", "topic"},
		{"Topic", "tropic topic", "topic"},
		{"brokrs", "topic brokers", "brokers"},
		{"recieve", "receive", "receive"},
		{"connectoins_of_all", "connections_for_all", "connections_for_all"},
		{"if", "of to", "of"},
		{"a", "b c", ""},
		{"to", "from steps", ""},
		{"ab", "cd", ""},
		{"abc", "xyz", ""},
		{"", "a", ""},
		{"x", "", ""},
		{"größe", "grösse große", "große"},
		{strings.Repeat("x", 5000), strings.Repeat("x", 5001), ""},
	}
	for _, test := range tests {
		if got := diag.Suggest(test.word, strings.Fields(test.candidates)); got != test.want {
			t.Errorf("Suggest(%q, %q) = %q, want %q", test.word, test.candidates, got, test.want)
		}
	}
}
