// Package yamldoc reads one YAML document strictly and fills Go structs from it, with the exact place in the file of every
// key, value and rune of text.
//
// It stands on the node tree of gopkg.in/yaml.v3 and adds what that leaves out: unknown and duplicate keys, one document
// only, limits, positions inside block and quoted scalars, interpolation of ${NAME}, and findings in plain words. It knows
// nothing of pipelines, and it does not write YAML.
package yamldoc

import (
	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
)

// The limits of a document.
const (
	// MaxSize is the largest file, in bytes.
	MaxSize = 1 << 20
	// MaxDepth is how deep lists and mappings nest, aliases expanded.
	MaxDepth = 200
	// MaxNodes is how many values a document has, aliases expanded.
	MaxNodes = 100_000
)

// Doc is a parsed document. It does not change and may be read by several goroutines.
type Doc struct {
	path  string
	src   string
	lines *lines
	root  *yaml.Node
	// broken holds the nodes that have a finding already: decoding passes over them.
	broken map[*yaml.Node]bool
	// holes are the offsets of values that broke YAML's rules and were left out.
	holes map[int]bool
	// used holds the nodes that aliases refer to.
	used  map[*yaml.Node]bool
	spots *spots
}

// Parse reads the one document in src and adds what is wrong with it to findings, under the given path. It returns nil
// when nothing can be decoded: then there is a finding. A document it returns may have findings too; the values they are
// about are passed over by Decode.
func Parse(path string, src []byte, findings *diag.List) *Doc {
	findings.AddSource(path, src)
	text, ok := checkText(path, src, findings)
	if !ok {
		return nil
	}
	d := &Doc{path: path, src: text, lines: newLines(text), broken: map[*yaml.Node]bool{}, used: map[*yaml.Node]bool{}, holes: map[int]bool{},
		spots: &spots{known: map[*yaml.Node]spot{}}}
	first, second, ok := d.parseLenient(findings)
	switch {
	case !ok:
		return nil
	case first == nil || len(first.Content) == 0 || isEmpty(first.Content[0]):
		findings.Add(d.at(0, 0, diag.EmptyFile, "the file is empty", "write a pipeline: name, from, to"))
		return nil
	}
	if second != nil {
		d.addSecondDocument(second, findings)
	}
	d.root = first.Content[0]
	if !d.checkTree(findings) {
		return nil
	}
	d.usedAnchors(d.root)
	return d
}

// Path is the path the document was parsed under.
func (d *Doc) Path() string { return d.path }

// Root is the outermost value.
func (d *Doc) Root() *Value { return &Value{doc: d, node: d.root} }

// at is a finding about the bytes from start to end, cut at the end of the first line.
func (d *Doc) at(start, end int, code diag.Code, message, hint string) diag.Finding {
	line, col := d.lines.position(start)
	end = min(end, d.lines.lineEnd(start))
	width := 1
	if end > start {
		width = d.lines.before(end) - d.lines.before(start)
	}
	return diag.Finding{Path: d.path, Line: line, Col: col, Width: width, Code: code, Message: message, Hint: hint}
}

func (d *Doc) addSecondDocument(second *yaml.Node, findings *diag.List) {
	start := d.lines.offset(second.Line, second.Column)
	findings.Add(d.at(start, start+3, diag.SecondDocument, "a second YAML document starts here",
		"one file holds one pipeline: move this one to a file of its own"))
}

func isEmpty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0
}
