package yamldoc

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// Without returns the mapping as if the entries whose key drop accepts were not written. Findings still point at the file.
func (v *Value) Without(drop func(key string) bool) *Value {
	n := *v.node
	n.Content = nil
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if !drop(v.node.Content[i].Value) {
			n.Content = append(n.Content, v.node.Content[i], v.node.Content[i+1])
		}
	}
	return v.replaced(&n)
}

// Over returns a mapping with the entries of base and then those of v. A key that stands in both is the caller's to refuse.
func (v *Value) Over(base *Value) *Value {
	n := *v.node
	n.Content = slices.Concat(base.node.Content, v.node.Content)
	return v.replaced(&n)
}

func (v *Value) replaced(n *yaml.Node) *Value {
	c := *v
	c.node = n
	return &c
}

// OrMapping returns v, or an empty mapping in its place when nothing was written (`stdin:`).
func (v *Value) OrMapping() *Value {
	if v.Kind() != KindNull {
		return v
	}
	return v.replaced(&yaml.Node{Kind: yaml.MappingNode, Line: v.node.Line, Column: v.node.Column})
}
