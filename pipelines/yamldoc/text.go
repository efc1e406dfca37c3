package yamldoc

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/millstream/millstream/pipelines/diag"
)

const hintData = "put data into a table or schema file beside the pipeline"

// checkText refuses what is too large or no text, with the place of the first bad byte, and removes a byte order mark.
func checkText(path string, src []byte, findings *diag.List) (text string, ok bool) {
	if len(src) > MaxSize {
		findings.Add(diag.Finding{Path: path, Code: diag.TooLarge,
			Message: fmt.Sprintf("the file has %d bytes, more than 1 MiB", len(src)),
			Hint:    hintData})
		return "", false
	}
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		findings.Add(diag.Finding{Path: path, Code: diag.BadEncoding, Message: "the file is UTF-16", Hint: "save it as UTF-8"})
		return "", false
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	line, col := 1, 1
	for offset := 0; offset < len(src); {
		r, size := utf8.DecodeRune(src[offset:])
		f := diag.Finding{Path: path, Line: line, Col: col, Code: diag.BadEncoding}
		switch {
		case r == utf8.RuneError && size == 1:
			f.Message = fmt.Sprintf("the byte 0x%02x is not valid UTF-8", src[offset])
			f.Hint = "save the file as UTF-8"
		case !printable(r):
			f.Message = fmt.Sprintf("the control character U+%04X is not allowed in YAML", r)
			f.Hint = fmt.Sprintf(`remove it, or write "%s" in double quotes`, escapeFor(r))
		}
		if f.Message != "" {
			findings.Add(f)
			return "", false
		}
		offset, col = offset+size, col+1
		if r == '\n' {
			line, col = line+1, 1
		}
	}
	return string(src), true
}

// printable is YAML 1.1's c-printable (section 5.1) as the parser checks it.
func printable(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r', r == 0x85:
		return true
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

func escapeFor(r rune) string {
	if r <= 0xff {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}
