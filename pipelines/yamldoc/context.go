package yamldoc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millstream/millstream/pipelines/diag"
)

// Env is where ${NAME} is looked up.
type Env interface {
	// Lookup returns the value of a variable and whether it is set at all.
	Lookup(name string) (string, bool)
}

// MapEnv is an Env of fixed values.
type MapEnv map[string]string

// Lookup implements Env.
func (m MapEnv) Lookup(name string) (string, bool) {
	value, ok := m[name]
	return value, ok
}

// Context is what decoding one document needs besides the document. Fill the exported fields before the first Decode; it is
// used by one goroutine.
type Context struct {
	// Findings takes what is wrong. It must be set.
	Findings *diag.List
	// Env gives the values of ${NAME}; nil knows no variable.
	Env Env
	// ReadFile reads the file of ${file:path}; nil refuses every file.
	ReadFile func(path string) (string, error)
	// Secret tells whether a variable is declared secret; nil means none is.
	Secret func(name string) bool
	// AllowUndefined makes undefined variables their own names instead of findings; fields they stand in keep their zero value.
	AllowUndefined bool
	// NoTemplate is set while what is decoded evaluates no {{ }} in plain texts: one there is a finding with this hint.
	NoTemplate string

	levels  []level
	secrets []string
	// secretsAllowed: what is being decoded takes secrets.
	secretsAllowed bool
}

// level is a mapping that is being decoded, with the keys it knows.
type level struct {
	value *Value
	keys  []string
}

// Enter tells that a mapping which knows the given keys is being decoded, until leave is called. Unknown keys further in
// are then recognised as belonging here. Decode does it for structs; custom decoders of mappings do it themselves.
func (c *Context) Enter(v *Value, keys ...string) (leave func()) {
	c.levels = append(c.levels, level{v, keys})
	return func() { c.levels = c.levels[:len(c.levels)-1] }
}

// UnknownKey adds the finding for a key that its mapping does not know. It says where the key belongs when a mapping
// further out knows it, else which of the known keys may be meant. The returned suggestion is that key, or "".
func (c *Context) UnknownKey(e Entry, known []string) (suggestion string) {
	if c.cutInFlow(e) {
		return ""
	}
	if place, ok := c.outerPlace(e); ok {
		c.Findings.Add(e.Key.Whole(diag.MisplacedKey, fmt.Sprintf("%q does not belong %s", e.Key.Text, inside(e.Value.parent)),
			"it belongs "+place))
		return ""
	}
	suggestion = SuggestKey(e.Key.Text, known)
	hint := ""
	switch {
	case suggestion != "":
		hint = fmt.Sprintf("did you mean %q?", suggestion)
	case len(known) > 0:
		hint = "known here: " + strings.Join(known, ", ")
	}
	c.Findings.Add(e.Key.Whole(diag.UnknownKey, fmt.Sprintf("unknown key %q%s", e.Key.Text, in(e.Value.parent)), hint))
	return suggestion
}

// foreignKeys are words of other tools for keys of ours.
var foreignKeys = map[string][]string{
	"input": {"from", "sources"}, "inputs": {"from", "sources"}, "source": {"from", "sources"}, "output": {"to", "sinks"}, "outputs": {"to", "sinks"},
	"sink": {"to", "sinks"}, "target": {"to"}, "processors": {"steps"}, "pipeline": {"steps"}, "transforms": {"nodes"}, "functions": {"steps"},
	"codec": {"decode", "encode"}, "format": {"decode", "encode"}, "decoder": {"decode"}, "encoder": {"encode"}, "errors": {"on_error"},
	"dead_letter": {"on_error"}, "retry": {"on_error"}, "when": {"if"}, "condition": {"if"}, "exchange_name": {"exchange"},
	"addresses": {"brokers"}, "bootstrap_servers": {"brokers"}, "consumer_group": {"group"}, "group_id": {"group"},
	"urls": {"url", "brokers"}, "topic": {"topics"}, "file": {"path"}, "filename": {"path"}, "paths": {"path"}, "interval": {"rate"},
}

// SuggestKey is the key among known that an unknown one is probably meant to be: what another tool calls by that word, or one that is
// written nearly like it. It is "" when there is none.
func SuggestKey(word string, known []string) string {
	for _, ours := range foreignKeys[strings.ToLower(word)] {
		if slices.Contains(known, ours) {
			return ours
		}
	}
	return diag.Suggest(word, known)
}

// cutInFlow reports the rest of an expression that a comma inside {…} cut off, which looks like a key without value.
func (c *Context) cutInFlow(e Entry) bool {
	if e.Value.Kind() != KindNull || e.Value.parent.Style() != StyleFlow || e.Key.Style != StylePlain ||
		!strings.ContainsAny(e.Key.Text, " ()=<>+*/\"'") {
		return false
	}
	c.Findings.Add(e.Key.Whole(diag.FlowExpression, fmt.Sprintf("inside {…} the comma ends the text before %q", e.Key.Text),
		"write expressions in block style, one key a line, or put this one in quotes"))
	return true
}

// outerPlace looks for a mapping further out that knows the key.
func (c *Context) outerPlace(e Entry) (place string, ok bool) {
	for i := len(c.levels) - 1; i >= 0; i-- {
		outer := c.levels[i]
		up := distance(outer.value, e.Value.parent)
		if up <= 0 || !contains(outer.keys, e.Key.Text) {
			continue
		}
		beside := fmt.Sprintf("beside %q", outer.value.stepTo(e.Value).label())
		switch {
		case outer.value.parent == nil:
			return "to the top of the file, " + beside, true
		case up == 1:
			return "one level up, " + beside, true
		}
		return fmt.Sprintf("%d levels up, %s", up, beside), true
	}
	return "", false
}

// distance counts the keys between a mapping and one inside it, 0 when they are the same, -1 when it is not inside.
func distance(outer, inner *Value) int {
	up := 0
	for v := inner; v != nil; v = v.parent {
		if v.node == outer.node {
			return up
		}
		up++
	}
	return -1
}

// stepTo returns the child of v on the way to inner.
func (v *Value) stepTo(inner *Value) *Value {
	for inner.parent != nil && inner.parent.node != v.node {
		inner = inner.parent
	}
	return inner
}

// label names a value by its last key, as messages do: the excerpt shows the rest, and a text reached through several
// aliases has one message.
func (v *Value) label() string {
	switch {
	case v.key != nil:
		return v.key.Text
	case v.parent != nil:
		return fmt.Sprintf("%s[%d]", v.parent.label(), v.index)
	}
	return ""
}

// subject is the label for the start of a sentence.
func (v *Value) subject() string {
	if label := v.label(); label != "" {
		return label
	}
	return "this"
}

func in(v *Value) string {
	if label := v.label(); label != "" {
		return " in " + label
	}
	return ""
}

func inside(v *Value) string {
	if label := v.label(); label != "" {
		return "in " + label
	}
	return "here"
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}
