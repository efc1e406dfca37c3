package yamldoc

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// Without returns the mapping as if the entries whose key drop accepts were not written, be it here or in what a merge key brings in.
// Findings still point at the file.
func (v *Value) Without(drop func(key string) bool) *Value {
	return v.overlaid(slices.DeleteFunc(v.Entries(), func(e Entry) bool { return drop(e.Key.Text) }), v.node.Content)
}

// Over returns a mapping with the entries of base and then those of v. A key that stands in both is the caller's to refuse.
func (v *Value) Over(base *Value) *Value {
	return v.overlaid(slices.Concat(base.Entries(), v.Entries()), slices.Concat(base.node.Content, v.node.Content))
}

// overlaid is v with other entries, merge keys expanded; content is what it stands for in the file.
func (v *Value) overlaid(entries []Entry, content []*yaml.Node) *Value {
	n := *v.node
	n.Content = content
	c := v.replaced(&n)
	c.entered = make([]Entry, len(entries))
	for i, e := range entries {
		child := *e.Value
		child.parent = c
		c.entered[i] = Entry{Key: e.Key, Value: &child}
	}
	return c
}

func (v *Value) replaced(n *yaml.Node) *Value {
	c := *v
	c.node, c.entered = n, nil
	return &c
}

// OrMapping returns v, or an empty mapping in its place when nothing was written (`stdin:`).
func (v *Value) OrMapping() *Value {
	if v.Kind() != KindNull {
		return v
	}
	return v.replaced(&yaml.Node{Kind: yaml.MappingNode, Line: v.node.Line, Column: v.node.Column})
}
