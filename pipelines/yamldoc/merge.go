package yamldoc

import "gopkg.in/yaml.v3"

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && nodeStyle(key) == StylePlain
}

type mergeSource struct {
	node  *yaml.Node
	alias string
}

// mergeSources returns the mappings a merge key brings in, in order of precedence. What is no mapping is left out: it has a
// finding from parsing.
func mergeSources(value *yaml.Node) []mergeSource {
	var sources []mergeSource
	list := []*yaml.Node{value}
	if target := resolve(value); target.Kind == yaml.SequenceNode {
		list = target.Content
	}
	for _, n := range list {
		if target := resolve(n); target.Kind == yaml.MappingNode {
			sources = append(sources, mergeSource{target, n.Value})
		}
	}
	return sources
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
