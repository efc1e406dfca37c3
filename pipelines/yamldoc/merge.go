package yamldoc

import (
	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
)

// OrderedEntries returns the entries of a mapping whose order counts. A merge key in it is a finding, and what it would bring
// in is left out.
func (c *Context) OrderedEntries(v *Value) []Entry {
	if key, ok := v.Merge(); ok {
		c.Findings.Add(key.Whole(diag.MergeInOrdered, "the order of this mapping counts, so << cannot be merged into it",
			"write the lines out"))
	}
	var own []Entry
	for _, e := range v.Entries() {
		if !e.Value.merged {
			own = append(own, e)
		}
	}
	return own
}

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
