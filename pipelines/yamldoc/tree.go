package yamldoc

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/pipelines/diag"
)

// checkTree looks at every node once, where it is written, for what is wrong whatever the fields want: nesting, aliases, tags,
// keys. It returns false when the tree must not be walked with its aliases expanded.
func (d *Doc) checkTree(findings *diag.List) bool {
	c := &treeCheck{doc: d, findings: findings, sizes: map[*yaml.Node]measure{}, open: map[*yaml.Node]bool{}}
	total := c.measure(d.root)
	switch {
	case c.failed:
		return false
	case total.nodes > MaxNodes && c.aliased:
		c.add(d.root, diag.AliasBomb, fmt.Sprintf("with its aliases expanded the file has more than %d values", MaxNodes),
			"write fewer aliases of aliases")
		return false
	case total.nodes > MaxNodes:
		c.add(d.root, diag.TooLarge, fmt.Sprintf("the file has more than %d values", MaxNodes), hintData)
		return false
	}
	c.walk(d.root)
	return true
}

type treeCheck struct {
	doc      *Doc
	findings *diag.List
	sizes    map[*yaml.Node]measure
	open     map[*yaml.Node]bool
	depth    int
	failed   bool
	// aliased tells that there is any alias.
	aliased bool
}

// measure is the size of a node with its aliases expanded.
type measure struct{ nodes, depth int }

func (c *treeCheck) add(n *yaml.Node, code diag.Code, message, hint string) {
	start, end := c.doc.extent(n)
	c.findings.Add(c.doc.at(start, end, code, message, hint))
}

// measure counts nodes and depth, aliases expanded, and stops the check at a value that contains itself or nests too deep.
func (c *treeCheck) measure(n *yaml.Node) measure {
	if done, ok := c.sizes[n]; ok || c.failed {
		return done
	}
	if n.Kind == yaml.AliasNode {
		c.aliased = true
		if c.open[n.Alias] {
			c.failed = true
			c.add(n, diag.AliasBomb, fmt.Sprintf("the alias *%s is inside the value it stands for", n.Value),
				"write the value out, or move the anchor")
			return measure{}
		}
		return c.measure(n.Alias)
	}
	c.open[n] = true
	c.depth++
	m := measure{nodes: 1}
	if c.depth <= MaxDepth {
		for _, child := range n.Content {
			inner := c.measure(child)
			m.nodes = min(m.nodes+inner.nodes, MaxNodes+1)
			m.depth = max(m.depth, inner.depth)
		}
	}
	m.depth++
	if !c.failed && (c.depth > MaxDepth || m.depth > MaxDepth) {
		c.failed = true
		c.add(n, diag.TooDeep, fmt.Sprintf("lists and mappings nest more than %d levels deep here", MaxDepth),
			"nest less")
	}
	c.depth--
	c.open[n] = false
	c.sizes[n] = m
	return m
}

// walk visits the nodes as they are written; aliases are not followed.
func (c *treeCheck) walk(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		return
	}
	// A value that was left out may begin with what looks like an anchor in the file.
	if n.Kind == yaml.ScalarNode && c.doc.leftOut(n) {
		c.doc.broken[n] = true
		return
	}
	c.checkTag(n)
	if n.Style&yaml.FlowStyle != 0 {
		c.checkFlow(n)
	}
	if n.Kind == yaml.MappingNode {
		c.checkKeys(n)
	}
	if c.doc.broken[n] {
		return
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && c.doc.broken[n.Content[i&^1]] {
			continue
		}
		c.walk(child)
	}
}

// checkTag finds explicit tags. The lone tag "!" leaves no trace in the tree, so the source is asked.
func (c *treeCheck) checkTag(n *yaml.Node) {
	start := c.doc.lines.offset(n.Line, n.Column)
	src := c.doc.src
	if start < len(src) && src[start] == '&' {
		start = skipSpace(src, propertyEnd(src, start))
	}
	if start >= len(src) || src[start] != '!' {
		return
	}
	end := wordEnd(src, start)
	tag := src[start:end]
	c.doc.broken[n] = true
	hint := "remove the tag; to get a text, put it in quotes"
	if !strings.HasPrefix(tag, "!!") && n.Kind == yaml.ScalarNode {
		word := strings.TrimSpace(tag[1:] + " " + n.Value)
		hint = fmt.Sprintf("in an expression write not %s; a text that starts with ! needs quotes", word)
	}
	c.findings.Add(c.doc.at(start, end, diag.YAMLTag, fmt.Sprintf("%s is a YAML tag, not part of the value", tag), hint))
}

func wordEnd(src string, pos int) int {
	for pos < len(src) && !strings.ContainsRune(" \t\r\n", rune(src[pos])) {
		pos++
	}
	return pos
}

// checkKeys finds keys that are no text and keys written twice, and marks what decoding must pass over.
func (c *treeCheck) checkKeys(n *yaml.Node) {
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			c.checkMerge(value)
			continue
		}
		c.checkKey(n, key)
		if c.doc.broken[n] {
			return
		}
		if c.doc.broken[key] {
			continue
		}
		if earlier, twice := first[key.Value]; twice {
			line, _ := c.doc.lines.position(c.doc.content(earlier))
			c.add(key, diag.DuplicateKey, fmt.Sprintf("the key %q is written twice", key.Value),
				fmt.Sprintf("keep one of them; the other is in line %d", line))
			c.doc.broken[key] = true
			continue
		}
		first[key.Value] = key
	}
}

func (c *treeCheck) checkKey(mapping, key *yaml.Node) {
	switch {
	case key.Kind == yaml.MappingNode && mapping.Style&yaml.FlowStyle != 0 && key.Style&yaml.FlowStyle != 0:
		c.doc.broken[mapping] = true
		start := c.doc.content(mapping)
		c.findings.Add(c.doc.at(start, bracesEnd(c.doc.src, start), diag.UnquotedBraces,
			"without quotes YAML reads {{ … }} as a mapping", `put the whole text in quotes: "{{ … }}"`))
	case key.Kind != yaml.ScalarNode:
		c.doc.broken[key] = true
		c.add(key, diag.NonStringKey, "a key must be text, this one is "+nodeWord(key), "write a plain word as the key")
	case key.Style&yaml.TaggedStyle != 0:
		c.checkTag(key)
	case nodeStyle(key) == StylePlain && nonStringTag(key.Tag):
		c.doc.broken[key] = true
		hint := fmt.Sprintf("quote it: %q", key.Value)
		if key.Value == "" {
			hint = `write the key before the colon; the empty text is ""`
		}
		c.add(key, diag.NonStringKey, "a key must be text, this one is "+tagWord(key), hint)
	case strings.Contains(key.Value, "${") && !strings.Contains(key.Value, "$${"):
		c.doc.broken[key] = true
		c.add(key, diag.VariableInKey, "variables are not replaced in keys", "write the key out; variables go into values")
	}
}

// bracesEnd is the offset after the }} that closes the {{ at start, or after the {{ when none is on the line.
func bracesEnd(src string, start int) int {
	line, _, _ := strings.Cut(src[start:], "\n")
	if i := strings.Index(line, "}}"); i >= 0 {
		return start + i + 2
	}
	return start + min(2, len(line))
}

func nonStringTag(tag string) bool {
	switch tag {
	case "!!int", "!!float", "!!bool", "!!null":
		return true
	}
	return false
}

func tagWord(n *yaml.Node) string {
	switch {
	case n.Value == "":
		return "empty"
	case n.Tag == "!!bool":
		return "the bool " + n.Value
	case n.Tag == "!!null":
		return "null"
	}
	return "the number " + n.Value
}

func nodeWord(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "the alias *" + n.Value
	}
	return "a text"
}

func (c *treeCheck) checkMerge(value *yaml.Node) {
	target := resolve(value)
	bad := target.Kind != yaml.MappingNode && target.Kind != yaml.SequenceNode
	if target.Kind == yaml.SequenceNode {
		for _, item := range target.Content {
			bad = bad || resolve(item).Kind != yaml.MappingNode
		}
	}
	if bad {
		c.add(value, diag.BadMerge, "<< merges mappings, this is "+nodeWord(target), "write an alias of a mapping: <<: *name")
	}
}

// checkFlow finds an expression that a comma cut in two: the part before it has an open parenthesis that a later one closes.
func (c *treeCheck) checkFlow(n *yaml.Node) {
	var texts []*yaml.Node
	for i, child := range n.Content {
		if n.Kind == yaml.SequenceNode || i%2 == 1 || n.Content[i+1].Value == "" {
			texts = append(texts, child)
		}
	}
	for i, text := range texts {
		if !plainWithParens(text) || parens(text.Value) <= 0 {
			continue
		}
		depth := parens(text.Value)
		for _, later := range texts[i+1 : min(i+1+mostArguments, len(texts))] {
			if later.Kind != yaml.ScalarNode {
				break
			}
			if depth += parens(later.Value); depth <= 0 {
				c.doc.broken[n] = true
				start := c.doc.content(text)
				c.findings.Add(c.doc.at(start, c.doc.lines.lineEnd(start), diag.FlowExpression,
					"inside {…} and […] the comma ends the text "+fmt.Sprintf("%q", text.Value),
					"write expressions in block style, one key a line, or put this one in quotes"))
				return
			}
		}
	}
}

// mostArguments bounds the search for the end of a call whose commas cut it up.
const mostArguments = 100

func plainWithParens(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && nodeStyle(n) == StylePlain && strings.Contains(n.Value, "(")
}

func parens(text string) int { return strings.Count(text, "(") - strings.Count(text, ")") }
