package format

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// scalar passes over the text of a scalar as it is written.
func (s *scanner) scalar(n *yaml.Node, indent int) {
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		s.blockScalar(indent)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		s.quoted('"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		s.quoted('\'')
	default:
		s.plain(n.Value)
	}
}

func (s *scanner) quoted(quote byte) {
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; {
		case c == '\\' && quote == '"':
			s.pos++
		case c == quote && quote == '\'' && strings.HasPrefix(s.src[s.pos:], "''"):
			s.pos++
		case c == quote:
			s.pos++
			return
		}
	}
	s.fail("a quoted text without end")
}

// plain follows the value through the text; where lines were folded, blanks of the text are one blank, or breaks, of the value.
func (s *scanner) plain(value string) {
	for i := 0; i < len(value); {
		rest := strings.TrimLeft(s.src[s.pos:], " \t")
		if (value[i] == ' ' || value[i] == '\n') && strings.HasPrefix(rest, "\n") {
			s.pos = len(s.src) - len(strings.TrimLeft(rest, " \t\n"))
			for i < len(value) && (value[i] == '\n' || value[i] == ' ') {
				i++
			}
			continue
		}
		if s.pos >= len(s.src) || s.src[s.pos] != value[i] {
			s.fail("a text that is not found where it should be")
			return
		}
		s.pos++
		i++
	}
}

// blockScalar passes over a header with | or > and the lines that belong to it.
func (s *scanner) blockScalar(indent int) {
	header := s.src[s.pos:s.lineEnd(s.pos)]
	end := s.lineEnd(s.pos)
	content := contentColumn(s.src[min(end+1, len(s.src)):], header, indent)
	text := false
	for at := end + 1; at < len(s.src); at = s.lineEnd(at) + 1 {
		line := s.src[at:s.lineEnd(at)]
		blank := strings.Trim(line, " ") == ""
		if !blank && leading(line) < content {
			break
		}
		text = text || !blank
		if !blank || keeps(header) || text && leading(line) > content {
			end = s.lineEnd(at)
		}
	}
	s.pos = end
}

// contentColumn is where the lines of a block scalar begin.
func contentColumn(lines, header string, indent int) int {
	if digit := indicator(header); digit > 0 {
		return max(indent, 0) + digit
	}
	for line := range strings.SplitSeq(lines, "\n") {
		if strings.Trim(line, " ") != "" {
			return max(leading(line), indent+1)
		}
	}
	return indent + 1
}

// indicator is the digit in a header, 0 when there is none.
func indicator(header string) int {
	head, _, _ := strings.Cut(header, "#")
	for _, r := range head {
		if r >= '1' && r <= '9' {
			return int(r - '0')
		}
	}
	return 0
}

// keeps tells whether a header keeps the blank lines at the end.
func keeps(header string) bool {
	head, _, _ := strings.Cut(header, "#")
	return strings.Contains(head, "+")
}

func leading(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
