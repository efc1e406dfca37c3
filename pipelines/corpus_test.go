package pipelines_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// brokenFiles is how many whole pipeline files with mistakes the golden findings cover at least.
const brokenFiles = 150

// goldenCode finds the codes of printed findings.
var goldenCode = regexp.MustCompile(`(?m)^\S+\.(?:ya?ml|csv):\d+:\d+: (?:error|warning): .* \[([a-z-]+)\]$`)

func TestTheGoldenFindingsCoverManyBrokenFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/fi*/*.txtar") // findings, and files
	if err != nil {
		t.Fatal(err)
	}
	broken, codes := 0, map[diag.Code]int{}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			found := goldenCode.FindAllSubmatch(file.Data, -1)
			if !strings.HasSuffix(file.Name, ".want") || found == nil {
				continue
			}
			broken++
			for _, m := range found {
				codes[diag.Code(m[1])]++
			}
		}
	}
	if broken < brokenFiles {
		t.Errorf("the golden files have %d broken pipelines, want %d", broken, brokenFiles)
	}
	t.Logf("%d broken pipelines, %d codes", broken, len(codes))
}

// limit is a file that is too large to be read in a golden file, with its finding: LINE:COL, or LINE: alone.
type limit struct {
	code diag.Code
	text string
	says string
}

func limits() map[string]limit {
	filter := func(expr string) string {
		return "name: x\nfrom: { stdin: {} }\nsteps:\n  - filter: " + expr + "\nto: { stdout: {} }\n"
	}
	return map[string]limit{

		"a byte that is no UTF-8":  {diag.BadEncoding, filter("body.a == \"\xff\""), "4:24"},
		"a control character":      {diag.BadEncoding, filter("body.a == \"\x07\""), "4:24"},
		"a megabyte":               {diag.TooLarge, filter("true") + strings.Repeat("# data\n", 200_000), "1:1"},
		"201 lists":                {diag.TooDeep, "name: x\nx-deep: " + strings.Repeat("[", 210) + strings.Repeat("]", 210) + "\nfrom: { stdin: {} }\nto: { stdout: {} }\n", "2:"},
		"a long expression":        {diag.ExpressionTooLong, filter("body.a == '" + strings.Repeat("a", 17_000) + "'"), "4:13"},
		"a deep expression":        {diag.ExpressionTooDeep, filter(strings.Repeat("(", 201) + "body.a" + strings.Repeat(")", 201)), "4:"},
		"an expression of many":    {diag.ExpressionTooLarge, filter("body.a in [body.b" + strings.Repeat(",c.d", 2_100) + "]"), "4:"},
		"a variable in a template": {diag.InterpolationInExpression, "name: x\nfrom: { stdin: {} }\nto: { file: { path: 'a{{ body.a + \"$${A}\" }}' } }\n", "3:"},
	}
}

func TestLimitsAreFindings(t *testing.T) {
	for name, c := range limits() {
		t.Run(name, func(t *testing.T) {
			_, findings := pipelines.Compile("p.yaml", []byte(c.text), options())
			all := findings.All()
			if len(all) != 1 || all[0].Code != c.code {
				var out strings.Builder
				_ = diag.WriteText(&out, findings)
				t.Fatalf("want one %s, got %d:\n%.600s", c.code, len(all), out.String())
			}
			line, col, _ := strings.Cut(c.says, ":")
			if got := []int{all[0].Line, all[0].Col}; !slices.Equal(got[:1], numbers(line)) || col != "" && !slices.Equal(got[1:], numbers(col)) {
				t.Errorf("it is at %v, want %s", got, c.says)
			}
		})
	}
}

func TestEveryCodeHasAGoldenFinding(t *testing.T) {
	golden := map[diag.Code]bool{}
	for _, c := range limits() {
		golden[c.code] = true
	}
	for _, pattern := range []string{"testdata/fi*/*.txtar", "yamldoc/testdata/*.txtar", "../docs/diagnostics.md", "../testdata/script/*.txtar"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range goldenCode.FindAllSubmatch(text, -1) {
				golden[diag.Code(m[1])] = true
			}
		}
	}
	for _, c := range diag.Codes() {
		if !golden[c.Code] {
			t.Errorf("no golden file has a finding of the code %s", c.Code)
		}
	}
}

func numbers(digits string) []int {
	n := 0
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	return []int{n}
}
