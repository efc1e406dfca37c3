package yamldoc

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
)

// parseNodes parses the first document and returns the second one if there is any, whether or not that can be read.
func parseNodes(text string) (first, second *yaml.Node, err error) {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	if first, err = nextDocument(decoder); err != nil || first == nil {
		return nil, nil, err
	}
	second, err = nextDocument(decoder)
	if err != nil {
		if line := secondStart(text, first.Line); line > 0 {
			return first, &yaml.Node{Line: line, Column: 1}, nil
		}
	}
	return first, second, err
}

// secondStart returns the line of the --- that starts another document behind the one that starts in a line, 0 without one.
func secondStart(text string, firstLine int) int {
	number, seen := 0, false
	for line := range strings.SplitSeq(text, "\n") {
		number++
		isStart := strings.HasPrefix(line, "---") && (len(line) == 3 || strings.ContainsAny(line[3:4], " \t\r"))
		if isStart && (seen || number > firstLine) {
			return number
		}
		seen = seen || strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "%")
	}
	return 0
}

// nextDocument reads a document; nil without an error is the end of the stream. The parser panics on some inputs that it
// should refuse: that is a syntax error like others.
func nextDocument(decoder *yaml.Decoder) (n *yaml.Node, err error) {
	defer func() {
		if recover() != nil {
			n, err = nil, &syntaxError{message: "the parser cannot read this text"}
		}
	}()
	n = &yaml.Node{}
	if err := decoder.Decode(n); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, parserError(err)
	}
	return n, nil
}

// syntaxError is a complaint of the parser: its words, and the line it names (0 when it names none).
type syntaxError struct {
	line    int
	message string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.message) }

var parserLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// parserError takes the parser's text apart.
func parserError(err error) *syntaxError {
	m := parserLine.FindStringSubmatch(err.Error())
	if m == nil {
		return &syntaxError{message: err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	return &syntaxError{line: line, message: m[2]}
}

// maxSyntaxFindings bounds how often a text is read again with a broken value left out.
const maxSyntaxFindings = 20

// parseLenient parses the text. Where a value breaks YAML's rules it adds a finding, leaves the value out (d.holes) and reads
// on, so that one run tells all. ok is false when it cannot.
func (d *Doc) parseLenient(findings *diag.List) (first, second *yaml.Node, ok bool) {
	text := d.src
	for range maxSyntaxFindings {
		first, second, err := parseNodes(text)
		if err == nil {
			return first, second, true
		}
		var complaint *syntaxError
		if !errors.As(err, &complaint) {
			complaint = &syntaxError{message: err.Error()}
		}
		t := d.explain(text, complaint)
		if d.holeInLine(t.start) {
			return nil, nil, false
		}
		findings.Add(d.at(t.start, t.end, t.code, t.message, t.hint))
		if t.from < 0 {
			return nil, nil, false
		}
		d.holes[t.from] = true
		text = leaveOut(text, t.from, t.to)
	}
	return nil, nil, false
}

// leftOut tells whether a node stands where a value was left out. What was there may have looked like an anchor.
func (d *Doc) leftOut(n *yaml.Node) bool {
	return d.holes[d.content(n)] || d.holes[d.lines.offset(n.Line, n.Column)]
}

// holeInLine tells whether a value was left out in the line of an offset: another complaint there is of our own making.
func (d *Doc) holeInLine(offset int) bool {
	line, _ := d.lines.position(offset)
	for hole := range d.holes {
		if other, _ := d.lines.position(hole); other == line {
			return true
		}
	}
	return false
}

// leaveOut puts the text x in place of a value; every byte behind it keeps its line and, in other lines, its place.
func leaveOut(text string, from, to int) string {
	blank := []byte(text[from:to])
	for i, c := range blank {
		if c != '\n' && c != '\r' {
			blank[i] = ' '
		}
	}
	if len(blank) > 0 {
		blank[0] = 'x'
	}
	return text[:from] + string(blank) + text[to:]
}

// explain finds out where and why the parser gave up.
func (d *Doc) explain(text string, e *syntaxError) trap {
	if strings.Contains(e.message, "max depth") {
		at := d.lines.offset(max(e.line, 1), 1)
		return trap{start: at, end: at + 1, code: diag.TooDeep, from: -1, hint: "nest less",
			message: fmt.Sprintf("lists and mappings nest more than %d levels deep here", MaxDepth)}
	}
	found := findTraps(text)
	if m := unknownAnchor.FindStringSubmatch(e.message); m != nil {
		return unknownAlias(found, m[1])
	}
	from, to := culpritLine(text, e)
	for _, t := range found.traps {
		if t.start >= from && t.start < to {
			return t
		}
	}
	for _, t := range found.traps {
		reaches := t.code == diag.UnclosedBracket || t.code == diag.UnclosedQuote || t.code == diag.CommentCut
		if t.start < from && (reaches || t.from >= 0 && t.to > from) {
			return t
		}
	}
	return plainComplaint(text, from, to, e)
}

var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)

func unknownAlias(found *trapFinder, name string) trap {
	at := found.aliases[name]
	return trap{start: at, end: at + 1 + len(name), code: diag.BadAlias, from: -1,
		message: fmt.Sprintf("the alias *%s has no anchor &%s above it", name, name),
		hint:    "define the anchor first; a text that starts with * needs quotes or a | block"}
}

// culpritLine returns the bounds of the line at which the parser's complaint comes up: the first one such that the text up to
// its end draws the same complaint. The parser itself often names the line where the surrounding mapping began.
func culpritLine(text string, e *syntaxError) (from, to int) {
	ends := []int{0}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' || i+1 == len(text) {
			ends = append(ends, i+1)
		}
	}
	low, high := 0, len(ends)-1
	for high-low > 1 {
		middle := (low + high) / 2
		_, _, err := parseNodes(text[:ends[middle]])
		var other *syntaxError
		if errors.As(err, &other) && *other == *e {
			high = middle
		} else {
			low = middle
		}
	}
	return ends[max(high-1, 0)], ends[high]
}
