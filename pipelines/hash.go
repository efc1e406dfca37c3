package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// hash is over a value's meaning: aliases and merges expanded, variables replaced, keys sorted but where their order counts; comments,
// layout, descriptions, notes and tests are not in it. The constants of the file are, where the value can read them.
func (l *loader) hash(v *yamldoc.Value) string {
	if v == nil {
		return ""
	}
	quiet := *l.context
	quiet.Findings = &diag.List{} // what is wrong has been said
	h := hasher{Hash: sha256.New(), context: &quiet, vars: map[string]bool{}}
	h.value(v, false)
	if h.tables && l.file.Tables != nil && v != l.file.Tables {
		h.value(l.file.Tables, false)
		put(h, l.tables.sums...)
	}
	for _, name := range keysOf(l.vars) {
		if h.allVars || h.vars[name] {
			put(h, name)
			h.constant(l.vars[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fieldHashes are hashes of the entries of a part, by name, and of more: what a plan says has changed. They are
// short, for a wrong word there does no harm.
func (l *loader) fieldHashes(v *yamldoc.Value, more map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, more)
	if v == nil || v.Kind() != yamldoc.KindMapping {
		return out
	}
	for _, e := range v.Entries() {
		if !meaningless(v.Path(), e.Key.Text) {
			out[e.Key.Text] = l.hash(e.Value)[:16]
		}
	}
	return out
}

// hasher writes values so that two of them look alike only when they mean the same.
type hasher struct {
	hash.Hash
	context *yamldoc.Context
	// vars are the constants that texts of the value name; allVars: they may mean any.
	vars    map[string]bool
	allVars bool
	// tables: a text of the value may read tables. What is in a file that is read again counts not: it may change while the
	// pipeline runs.
	tables bool
}

// readVars finds constants in a text, which may be an expression, a template or neither: one too many does no harm.
func (h *hasher) readVars(text string) {
	h.tables = h.tables || strings.Contains(text, "lookup")
	for {
		_, after, found := strings.Cut(text, "vars")
		if !found {
			return
		}
		name := constantName.FindString(after)
		h.allVars = h.allVars || name == ""
		h.vars[strings.TrimLeft(name, "?. \t\n")] = true
		text = after
	}
}

// constantName is how a constant is read by its name.
var constantName = regexp.MustCompile(`^\s*\??\.\s*[A-Za-z_][A-Za-z0-9_]*`)

// orderedVerbs are the mappings whose order counts, down to the last level: an object is written in the order of its expressions.
var orderedVerbs = map[string]bool{"transform": true, "route": true}

// noted are the places where a note may stand.
var noted = regexp.MustCompile(`^(from|to|(to|steps)\[\d+\]|(sources|nodes|sinks)\.[^.\[]+|nodes\.[^.\[]+\.steps\[\d+\])$`)

// meaningless tells whether a key changes nothing of what runs. The constants are hashed as they are after --set.
func meaningless(path, key string) bool {
	switch {
	case path == "":
		return key == "tests" || key == "description" || key == "vars" || strings.HasPrefix(key, "x-")
	case key == "note":
		return noted.MatchString(path)
	}
	return false
}

func (h *hasher) value(v *yamldoc.Value, ordered bool) {
	switch v.Kind() {
	case yamldoc.KindMapping:
		h.mapping(v, ordered)
	case yamldoc.KindSequence:
		put(h, "[")
		for _, item := range v.Items() {
			h.value(item, ordered)
		}
		put(h, "]")
	case yamldoc.KindNull:
		put(h, "null")
	case yamldoc.KindScalar:
		text := v.Scalar().Text
		h.readVars(text)
		if t, ok := h.context.InterpolateSecret(v); ok {
			text = t.Scalar.Text
		}
		kind := "text"
		if v.Style() == yamldoc.StylePlain && json.Valid([]byte(text)) {
			kind = "word" // a plain 5 and a quoted "5" differ where literals are read as JSON
		}
		put(h, kind, text)
	}
}

func (h *hasher) mapping(v *yamldoc.Value, ordered bool) {
	if key, ok := v.Key(); ok && orderedVerbs[key.Text] {
		ordered = true
	}
	entries := v.Entries()
	if !ordered {
		sort.SliceStable(entries, func(i, j int) bool { return entries[i].Key.Text < entries[j].Key.Text })
	}
	path := v.Path()
	put(h, "{")
	for _, e := range entries {
		if path == "" && e.Key.Text == "vars" {
			h.allVars = true
		}
		if meaningless(path, e.Key.Text) {
			continue
		}
		put(h, e.Key.Text)
		h.value(e.Value, ordered)
	}
	put(h, "}")
}

// constant writes a JSON literal with its types.
func (h *hasher) constant(x any) {
	switch x := x.(type) {
	case map[string]any:
		put(h, "{")
		for _, k := range keysOf(x) {
			put(h, k)
			h.constant(x[k])
		}
		put(h, "}")
	case []any:
		put(h, "[")
		for _, item := range x {
			h.constant(item)
		}
		put(h, "]")
	case config.Secret:
		put(h, "secret", x.Reveal())
	default:
		put(h, fmt.Sprintf("%T", x), fmt.Sprint(x))
	}
}

// put writes texts so that no two lists of texts look alike.
func put(w io.Writer, texts ...string) {
	for _, t := range texts {
		_, _ = io.WriteString(w, strconv.Itoa(len(t))+":"+t)
	}
}
