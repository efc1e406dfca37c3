package reference

import (
	"strings"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

// Mistake shows how a code comes about: a small file that has one finding with it, or words where no small file has.
type Mistake struct {
	Code  diag.Code
	File  string
	Story string
}

// mistakeOf finds the example of a code.
func mistakeOf(code diag.Code) (Mistake, bool) {
	for _, m := range Mistakes() {
		if m.Code == code {
			return m, true
		}
	}
	return Mistake{}, false
}

// CodePage documents a code, with the finding that its example gets.
func CodePage(c diag.CodeDoc, registry *config.Registry) string {
	var p page
	p.line("## %s\n\n%s.", c.Code, strings.ToUpper(c.Doc[:1])+c.Doc[1:])
	m, ok := mistakeOf(c.Code)
	switch {
	case !ok:
	case m.File == "":
		p.line("\n%s", m.Story)
	default:
		p.line("\n```yaml invalid\n%s```\n\n```\n%s```", m.File, FindingsOf(m.File, registry))
	}
	return p.String()
}

// FindingsOf prints the findings of a file's text. No variable is set.
func FindingsOf(text string, registry *config.Registry) string {
	_, findings := pipelines.Compile("example.yaml", []byte(text), pipelines.Options{Registry: registry})
	var b strings.Builder
	_ = diag.WriteText(&b, findings) // a Builder takes everything
	return b.String()
}

// DiagnosticsDoc is docs/diagnostics.md.
func DiagnosticsDoc(registry *config.Registry) string {
	var p page
	p.line("%s# Findings\n\nEvery finding of `millstream validate` ends with its code in brackets. Codes are stable. `millstream docs CODE` prints", generated)
	p.line("what stands here: what the code means, a file that has the mistake, and what is said about it.")
	for _, c := range diag.Codes() {
		p.line("\n%s", strings.TrimRight(CodePage(c, registry), "\n"))
	}
	return p.String()
}
