package trial

import (
	"bytes"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

// compare lists the differences between what a test expects and what came.
func (o *outcome) compare(prog *pipelines.Program, test *pipelines.Test) []string {
	if lacks := o.lacking(); len(lacks) > 0 {
		return lacks // what came of it is of no interest
	}
	var diffs []string
	diffs = append(diffs, o.compareError(test)...)
	for i := range prog.Sinks {
		name := prog.Sinks[i].Name
		want, got := test.Expect[name], o.sinks[name]
		if len(want) != len(got) {
			diffs = append(diffs, fmt.Sprintf("%s: expected %s, got %d%s", name, messages(len(want)), len(got), unpaired(want, got)))
			continue
		}
		for k := range want {
			for _, d := range compareMessage(&want[k], &got[k]) {
				diffs = append(diffs, fmt.Sprintf("%s[%d]%s", name, k, d))
			}
		}
	}
	return diffs
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return strconv.Itoa(n) + " messages"
}

// unpaired lists, where the numbers differ, what came that is nothing of what is expected, and what is expected and did not come.
func unpaired(want []pipelines.Expectation, got []received) string {
	paired := make([]bool, len(got))
	var missing strings.Builder
	for k := range want {
		at := -1
		for i := range got {
			if !paired[i] && len(compareMessage(&want[k], &got[i])) == 0 {
				at = i
				break
			}
		}
		if at < 0 {
			fmt.Fprintf(&missing, "\n  missing [%d] %s", k, expected(&want[k]))
			continue
		}
		paired[at] = true
	}
	var b strings.Builder
	for i := range got {
		if !paired[i] {
			fmt.Fprintf(&b, "\n  got [%d] %s", i, show(got[i].body))
		}
	}
	return b.String() + missing.String()
}

// expected is what a test says of a message, for people.
func expected(e *pipelines.Expectation) string {
	switch {
	case e.HasBody:
		return text(e.Body)
	case e.Payload != nil:
		return show(e.Payload)
	case e.Key != nil:
		return "key " + *e.Key
	case e.Topic != nil:
		return "topic " + *e.Topic
	}
	return "any message"
}

func (o *outcome) compareError(test *pipelines.Test) []string {
	switch {
	case test.Error == nil && o.err == nil && o.own == nil:
		return nil
	case test.Error == nil && o.err != nil:
		return []string{fmt.Sprintf("error: no on_error handled a failure at %s: %s (class %s, code %s)", o.err.Node, o.err.Message,
			o.err.Class, o.err.Code)}
	case test.Error == nil:
		return []string{"error: " + o.own.Error()}
	case o.err == nil:
		return []string{"error: expected a failure that no on_error handles, and there was none"}
	}
	var diffs []string
	for _, f := range [][3]string{
		{"node", test.Error.Node, o.err.Node}, {"code", test.Error.Code, string(o.err.Code)},
		{"class", test.Error.Class, o.err.Class.String()},
	} {
		if f[1] != "" && f[1] != f[2] {
			diffs = append(diffs, fmt.Sprintf("error.%s: expected %s, got %s (%s)", f[0], f[1], f[2], o.err.Message))
		}
	}
	if m := test.Error.Message; m != "" && !strings.Contains(o.err.Message, m) {
		diffs = append(diffs, fmt.Sprintf("error.message: expected it to contain %q, got %q", m, o.err.Message))
	}
	return diffs
}

func compareMessage(want *pipelines.Expectation, got *received) []string {
	var diffs []string
	if want.Key != nil {
		switch {
		case want.NoKey && got.key != nil:
			diffs = append(diffs, fmt.Sprintf(".key: expected none, got %q", got.key))
		case !want.NoKey && got.key == nil:
			diffs = append(diffs, fmt.Sprintf(".key: expected %q, got none", *want.Key))
		case !want.NoKey && string(got.key) != *want.Key:
			diffs = append(diffs, fmt.Sprintf(".key: expected %q, got %q", *want.Key, got.key))
		}
	}
	if want.Topic != nil && got.dest != *want.Topic {
		diffs = append(diffs, fmt.Sprintf(".topic: expected %q, got %q", *want.Topic, got.dest))
	}
	diffs = append(diffs, compareMeta(want.Meta, got.headers)...)
	if want.Payload != nil && !bytes.Equal(want.Payload, got.body) {
		diffs = append(diffs, fmt.Sprintf(": expected the payload %s, got %s", show(want.Payload), show(got.body)))
	}
	if want.HasBody {
		diffs = append(diffs, compareBody(want, got)...)
	}
	return diffs
}

func compareMeta(want map[string]any, got []flow.Header) []string {
	names := make([]string, 0, len(want))
	for n := range want {
		names = append(names, n)
	}
	sort.Strings(names)
	var diffs []string
	for _, n := range names {
		text, found := "", false
		for _, h := range got {
			if h.Name == n {
				text, found = h.Text(), true
			}
		}
		expected := ""
		if v, err := value.FromAny(want[n]); err == nil {
			expected = flow.Header{Value: v}.Text()
		}
		switch {
		case want[n] == nil && found:
			diffs = append(diffs, fmt.Sprintf(".meta.%s: expected none, got %q", n, text))
		case want[n] != nil && !found:
			diffs = append(diffs, fmt.Sprintf(".meta.%s: expected %q, got none", n, expected))
		case want[n] != nil && text != expected:
			diffs = append(diffs, fmt.Sprintf(".meta.%s: expected %q, got %q", n, expected, text))
		}
	}
	return diffs
}

func compareBody(want *pipelines.Expectation, got *received) []string {
	if got.body == nil {
		return []string{fmt.Sprintf(": expected the body %s, got no payload", text(want.Body))}
	}
	if s, ok := want.Body.(string); ok && s == string(got.body) {
		return nil // text, also where it happens to be JSON
	}
	var diffs []string
	for i, body := range readings(want, got) {
		c := comparison{subset: want.Subset, ignore: map[string]bool{}}
		for _, p := range want.Ignore {
			c.ignore[p] = true
		}
		if c.value("body", want.Body, body); len(c.diffs) == 0 {
			return nil
		}
		if i == 0 {
			diffs = c.diffs
		}
	}
	if diffs == nil {
		diffs = []string{fmt.Sprintf(": expected the body %s, got %s", text(want.Body), show(got.body))}
	}
	return diffs
}

// readings are the ways in which a body can be read, the likeliest first: as the codec does that wrote it, and as JSON, which dead letters
// are whatever the codec.
func readings(want *pipelines.Expectation, got *received) []any {
	var all []any
	if got.read != nil {
		if v, err := got.read(got.body); err == nil {
			all = append(all, row(want.Body, plain(v)))
		}
	}
	if v, err := value.ParseJSON(got.body); err == nil {
		all = append(all, v.Box())
	}
	return all
}

// plain is a value as a test can write it: with times and durations as texts.
func plain(v value.Value) any {
	if b, err := value.AppendJSON(nil, v); err == nil {
		if as, err := value.ParseJSON(b); err == nil {
			return as.Box()
		}
	}
	return v.Box()
}

// row is the one row of a table where a test speaks of one row.
func row(want, got any) any {
	l, isList := got.([]any)
	if _, listed := want.([]any); isList && len(l) == 1 && !listed {
		return l[0]
	}
	return got
}

// comparison walks two bodies side by side.
type comparison struct {
	subset bool
	ignore map[string]bool
	diffs  []string
}

func (c *comparison) value(path string, want, got any) {
	if c.ignore[path] {
		return
	}
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			c.object(path, w, g)
			return
		}
	case []any:
		if g, ok := got.([]any); ok {
			c.list(path, w, g)
			return
		}
	}
	a, err1 := value.FromAny(want)
	b, err2 := value.FromAny(got)
	if err1 != nil || err2 != nil || !value.Equal(a, b) {
		c.diffs = append(c.diffs, fmt.Sprintf(".%s: expected %s, got %s", path, text(want), text(got)))
	}
}

func (c *comparison) object(path string, want, got map[string]any) {
	for _, k := range union(want, got) {
		w, wanted := want[k]
		g, came := got[k]
		at := member(path, k)
		switch {
		case c.ignore[at] || (!wanted && c.subset):
		case !wanted:
			c.diffs = append(c.diffs, fmt.Sprintf(".%s: not expected, got %s", at, text(g)))
		case !came:
			c.diffs = append(c.diffs, fmt.Sprintf(".%s: expected %s, it is missing", at, text(w)))
		default:
			c.value(at, w, g)
		}
	}
}

func (c *comparison) list(path string, want, got []any) {
	if len(want) != len(got) {
		c.diffs = append(c.diffs, fmt.Sprintf(".%s: expected %s, got %s", path, text(want), text(got)))
		return
	}
	for i := range want {
		c.value(path+"["+strconv.Itoa(i)+"]", want[i], got[i])
	}
}

func member(path, key string) string {
	for i, r := range key {
		if !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9') {
			return path + "[" + strconv.Quote(key) + "]"
		}
	}
	return path + "." + key
}

func union(a, b map[string]any) []string {
	keys := make([]string, 0, len(a))
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return keys
}

func text(x any) string {
	v, err := value.FromAny(x)
	if err != nil {
		return fmt.Sprint(x)
	}
	b, err := value.AppendJSON(nil, v)
	if err != nil {
		return fmt.Sprint(x)
	}
	return string(b)
}

// show is a payload for people.
func show(b []byte) string {
	const most = 256
	switch {
	case b == nil:
		return "no payload"
	case !utf8.Valid(b):
		return fmt.Sprintf("hex %x", b[:min(len(b), most)])
	case len(b) > most:
		return string(b[:most]) + "…"
	}
	return string(b)
}
