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

// parseNodes parses the first document and tells whether a second one follows. A second one that is broken counts as one.
func parseNodes(text string) (first, second *yaml.Node, err error) {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	if first, err = nextDocument(decoder); err != nil || first == nil {
		return nil, nil, err
	}
	second, err = nextDocument(decoder)
	return first, second, err
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

// syntaxFinding turns a complaint of the parser into a finding.
func (d *Doc) syntaxFinding(err error) diag.Finding {
	var e *syntaxError
	if !errors.As(err, &e) {
		e = &syntaxError{message: err.Error()}
	}
	start := d.lines.offset(max(e.line, 1), 1)
	return d.at(start, start+1, diag.BadYAML, fmt.Sprintf("the text is not valid YAML: %s", e.message), "")
}
