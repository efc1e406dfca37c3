package diag

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Format is a way to print findings.
type Format string

// The formats of the command line's --format.
const (
	FormatText   Format = "text"
	FormatJSON   Format = "json"
	FormatGitHub Format = "github"
)

// Write prints every finding of the list, sorted, in the given format. An unknown format is an error.
func Write(w io.Writer, format Format, l *List) error {
	switch format {
	case FormatText:
		return WriteText(w, l)
	case FormatJSON:
		return WriteJSON(w, l)
	case FormatGitHub:
		return WriteGitHub(w, l)
	}
	return fmt.Errorf("print findings: unknown format %q, want text, json or github", format)
}

// WriteText prints findings for people: position, message and code in one line, then the source line with a caret when
// the list knows the file's text, then note and hint.
func WriteText(w io.Writer, l *List) error {
	var out strings.Builder
	lines := reader{sources: l.sources}
	for _, f := range l.printed() {
		fmt.Fprintf(&out, "%s:%d:%d: %s: %s [%s]\n", visible(f.Path), f.Line, f.Col, f.Severity, visible(f.Message), f.Code)
		if line, ok := lines.sourceLine(f.Path, f.Line); ok {
			line, marked := covered(line, l.sources[f.Path].hide, f)
			writeExcerpt(&out, line, marked)
		}
		writeRemark(&out, "note", f.Note)
		writeRemark(&out, "hint", f.Hint)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func writeRemark(out *strings.Builder, word, text string) {
	if text == "" {
		return
	}
	label := "      " + word + ": "
	for line := range strings.SplitSeq(text, "\n") {
		out.WriteString(strings.TrimRight(label+visible(line), " ") + "\n")
		label = strings.Repeat(" ", len(label))
	}
}

// jsonFinding is the documented shape of --format json; end_col is the column after the last marked rune.
type jsonFinding struct {
	Path     string `json:"path"`
	Line     int    `json:"line"`
	Col      int    `json:"col"`
	EndCol   int    `json:"end_col"`
	Severity string `json:"severity"`
	Code     Code   `json:"code"`
	Message  string `json:"message"`
	Hint     string `json:"hint"`
	Note     string `json:"note,omitempty"`
}

// WriteJSON prints findings as one JSON array, empty when there are none.
func WriteJSON(w io.Writer, l *List) error {
	findings := make([]jsonFinding, 0, l.Len())
	for _, f := range l.printed() {
		findings = append(findings, jsonFinding{f.Path, f.Line, f.Col, f.Col + f.Width, f.Severity.String(), f.Code,
			f.Message, f.Hint, f.Note})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(findings)
}

// WriteGitHub prints findings as workflow commands, which GitHub shows beside the line of the change.
func WriteGitHub(w io.Writer, l *List) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	var out strings.Builder
	for _, f := range l.printed() {
		text := fmt.Sprintf("%s [%s]", f.Message, f.Code)
		for _, remark := range [][2]string{{"note", f.Note}, {"hint", f.Hint}} {
			if remark[1] != "" {
				text += "\n" + remark[0] + ": " + remark[1]
			}
		}
		fmt.Fprintf(&out, "::%s file=%s,line=%d,col=%d::%s\n",
			f.Severity, property.Replace(f.Path), f.Line, f.Col, data.Replace(text))
	}
	_, err := io.WriteString(w, out.String())
	return err
}
