package format

import (
	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/reference"
)

// assign finds the type of every node and whether a flow collection must be written as a block: when there are expressions in it.
func (p *printer) assign(n *yaml.Node, t *reference.Type) (expressions bool) {
	t = choose(n, t)
	p.types[n] = t
	if t == nil || n.Kind == yaml.AliasNode {
		return false
	}
	switch t.Kind {
	case reference.Expression:
		return true
	case reference.Assignments, reference.Cases:
		p.expandAll(n)
		return true
	default:
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		inner := t.Elem
		if n.Kind == yaml.MappingNode && t.Kind == reference.Struct {
			inner = nil
			if f, ok := t.Field(n.Content[i-1].Value); ok {
				inner = f.Type
			}
		}
		if inner != nil && p.assign(child, inner) {
			expressions = true
		}
	}
	if expressions {
		p.expand[n] = true
	}
	return expressions
}

// expandAll is for mappings and lists whose leaves are all expressions.
func (p *printer) expandAll(n *yaml.Node) {
	if len(n.Content) > 0 {
		p.expand[n] = true
	}
	for _, child := range n.Content {
		if child.Kind == yaml.MappingNode || child.Kind == yaml.SequenceNode {
			p.expandAll(child)
		}
	}
}

// choose picks the alternative that a node can be.
func choose(n *yaml.Node, t *reference.Type) *reference.Type {
	if t == nil || t.Kind != reference.Either {
		return t
	}
	for _, one := range t.Types {
		one := choose(n, one)
		mapping := one.Kind == reference.Struct || one.Kind == reference.Map
		switch {
		case n.Kind == yaml.MappingNode && mapping, n.Kind == yaml.SequenceNode && one.Kind == reference.List,
			n.Kind == yaml.ScalarNode && !mapping && one.Kind != reference.List:
			return one
		}
	}
	return nil
}
