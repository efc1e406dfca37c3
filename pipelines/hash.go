package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sort"
	"strconv"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// hash is over a value's meaning: aliases and merges expanded, variables replaced, keys sorted but where their order counts; comments,
// layout, notes and tests are not in it.
func (l *loader) hash(v *yamldoc.Value) string {
	if v == nil {
		return ""
	}
	h := sha256.New()
	quiet := *l.context
	quiet.Findings = &diag.List{} // what is wrong has been said
	hashValue(h, v, &quiet, true)
	for _, name := range sortedKeys(l.opts.Vars) {
		put(h, "set", name, l.opts.Vars[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// orderedVerbs are the mappings whose order counts.
var orderedVerbs = map[string]bool{"transform": true, "route": true}

// unhashed are keys without meaning for what runs.
var unhashed = map[string]bool{"tests": true, "note": true, "description": true}

func hashValue(h hash.Hash, v *yamldoc.Value, c *yamldoc.Context, top bool) {
	switch v.Kind() {
	case yamldoc.KindMapping:
		entries := v.Entries()
		if key, ok := v.Key(); !ok || !orderedVerbs[key.Text] {
			sort.SliceStable(entries, func(i, j int) bool { return entries[i].Key.Text < entries[j].Key.Text })
		}
		put(h, "{")
		for _, e := range entries {
			if unhashed[e.Key.Text] || (top && len(e.Key.Text) > 1 && e.Key.Text[:2] == "x-") {
				continue
			}
			put(h, e.Key.Text)
			hashValue(h, e.Value, c, false)
		}
		put(h, "}")
	case yamldoc.KindSequence:
		put(h, "[")
		for _, item := range v.Items() {
			hashValue(h, item, c, false)
		}
		put(h, "]")
	case yamldoc.KindNull:
		put(h, "null")
	case yamldoc.KindScalar:
		text := v.Scalar().Text
		if t, ok := c.Interpolate(v); ok {
			text = t.Scalar.Text
		}
		// A plain 5 and a quoted "5" differ where literals are read as JSON.
		put(h, "scalar", strconv.FormatBool(v.Style() == yamldoc.StylePlain || v.Style() == yamldoc.StyleFlow), text)
	}
}

// put writes texts so that no two lists of texts look alike.
func put(w io.Writer, texts ...string) {
	for _, t := range texts {
		_, _ = io.WriteString(w, strconv.Itoa(len(t))+":"+t)
	}
}

func sortedKeys(m map[string]string) []string {
	ks := keysOf(m)
	sort.Strings(ks)
	return ks
}
