// Package format writes pipeline files in one layout: two spaces a level, expressions in block style, at most one blank line between
// entries. Comments, the order of keys, the way scalars are written and flow style of literals stay as they are. What a file means never
// changes: the result is read again and compared before it is given away.
//
// It finds no mistakes: a text that is no YAML is refused, what the keys mean is not looked at beyond where expressions stand.
package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/reference"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// ErrUnsupported is returned for the few things of YAML that no pipeline file needs and that cannot be laid out: explicit keys ("? a"),
// line separators other than the line feed, a root that is no mapping. The file stays as it is.
var ErrUnsupported = errors.New("cannot be formatted")

// Format lays a file out. With errors among the findings, which are about the YAML alone, there is no result. grammar says where
// expressions stand.
func Format(path string, src []byte, grammar *reference.Type) ([]byte, *diag.List, error) {
	findings := &diag.List{}
	text := strings.ReplaceAll(string(bytes.TrimPrefix(src, []byte("\ufeff"))), "\r\n", "\n")
	if yamldoc.Parse(path, src, findings) == nil || findings.HasErrors() {
		return nil, findings, nil
	}
	out, err := layOut(text, grammar)
	if err != nil {
		return nil, findings, err
	}
	if err := sameMeaning(text, out); err != nil {
		return nil, findings, err
	}
	return []byte(out), findings, nil
}

func layOut(text string, grammar *reference.Type) (string, error) {
	if strings.ContainsAny(text, "\r\u0085\u2028\u2029") {
		return "", fmt.Errorf("%w: it has line separators other than the line feed", ErrUnsupported)
	}
	root, err := parse(text)
	if err != nil {
		return "", err
	}
	s := newScanner(text)
	if err := s.document(root); err != nil {
		return "", err
	}
	p := &printer{scanner: s, types: map[*yaml.Node]*reference.Type{}, expand: map[*yaml.Node]bool{}}
	p.assign(root, grammar)
	p.document(root)
	return p.out.String(), nil
}

func parse(text string) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: it is no mapping", ErrUnsupported)
	}
	return doc.Content[0], nil
}

// sameMeaning holds the result against the original: same values in the same styles, same comments.
func sameMeaning(before, after string) error {
	a, err := parse(before)
	if err != nil {
		return err
	}
	b, err := parse(after)
	if err != nil {
		return fmt.Errorf("%w: the result would be no YAML: %w", ErrUnsupported, err)
	}
	if !equal(a, b) {
		return fmt.Errorf("%w: the result would mean something else", ErrUnsupported)
	}
	one, two := newScanner(before), newScanner(after)
	if err := errors.Join(one.document(a), two.document(b)); err != nil {
		return err
	}
	if one.allComments() != two.allComments() {
		return fmt.Errorf("%w: a comment would be lost", ErrUnsupported)
	}
	return nil
}

// equal compares two trees but for their layout. Trees of one text have the same aliases.
func equal(a, b *yaml.Node) bool {
	const layout = yaml.FlowStyle
	if a.Kind != b.Kind || a.Value != b.Value || a.Tag != b.Tag || a.Anchor != b.Anchor || a.Style&^layout != b.Style&^layout ||
		len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
