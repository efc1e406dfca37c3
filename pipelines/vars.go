package pipelines

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// loadVars reads the constants of the file. Variables are replaced in them; a plain scalar that is one is then read as JSON would read
// its text, a quoted one stays a string.
func (l *loader) loadVars() {
	l.vars = map[string]any{}
	v := l.file.Vars
	if v != nil && v.Kind() != yamldoc.KindMapping {
		l.context.WrongType(v, "a mapping of names to constants")
	} else if v != nil {
		for _, e := range v.Entries() {
			x, ok := l.constant(e.Value)
			if !ok && x == nil {
				x = e.Value.Scalar().Text // it is there, whatever is wrong with it
			}
			l.vars[e.Key.Text] = x
		}
	}
	for name, text := range l.opts.Vars {
		switch _, ok := l.vars[name]; {
		case ok && l.opts.VarSeen != nil:
			l.opts.VarSeen(name)
			fallthrough
		case ok:
			l.override(name, text)
		case l.opts.VarSeen == nil:
			l.findings.Add(diag.Finding{Path: l.path, Line: 1, Col: 1, Code: diag.UnknownName,
				Message: fmt.Sprintf("--set names %q, which is not under vars", name), Hint: didYouMean(name, keysOf(l.vars))})
		}
	}
}

// override takes a constant from --set. What the file makes a secret stays one.
func (l *loader) override(name, text string) {
	if _, secret := l.vars[name].(config.Secret); secret {
		l.context.KeepSecret(text)
		l.vars[name] = config.NewSecret(text)
		return
	}
	next := literalText(text)
	if _, quoted := l.vars[name].(string); quoted {
		next = text // what is text in the file stays text: --set version=5
	}
	if was, is := kindOf(l.vars[name]), kindOf(next); was != is && was != "nil" {
		l.findings.Add(diag.Finding{Path: l.path, Line: 1, Col: 1, Code: diag.WrongType,
			Message: fmt.Sprintf("--set %s=%s gives %s, and the file has %s there", name, text, is, was), Hint: "set a value of the same kind"})
		return
	}
	l.vars[name] = next
}

// kindOf names the kind of a constant for messages.
func kindOf(x any) string {
	switch x.(type) {
	case nil:
		return "nil"
	case bool:
		return "a bool"
	case int, float64:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	}
	return "a mapping"
}

func (l *loader) constant(v *yamldoc.Value) (any, bool) {
	switch v.Kind() {
	case yamldoc.KindMapping:
		m, good := map[string]any{}, true
		for _, e := range v.Entries() {
			x, ok := l.constant(e.Value)
			good = good && ok
			m[e.Key.Text] = x
		}
		return m, good
	case yamldoc.KindSequence:
		list, good := []any{}, true
		for _, item := range v.Items() {
			x, ok := l.constant(item)
			good = good && ok
			list = append(list, x)
		}
		return list, good
	case yamldoc.KindNull, yamldoc.KindScalar:
	}
	if v.Kind() != yamldoc.KindScalar || !strings.Contains(v.Scalar().Text, "${") {
		return l.context.JSONLiteral(v)
	}
	text, ok := l.context.InterpolateSecret(v)
	if !ok {
		return nil, false
	}
	if text.Tainted {
		return config.NewSecret(text.Scalar.Text), true
	}
	if v.Style() == yamldoc.StylePlain {
		return literalText(text.Scalar.Text), true
	}
	return text.Scalar.Text, true
}

// literalText reads text as JSON, or as the text it is when it is none.
func literalText(text string) any {
	if json.Valid([]byte(text)) {
		if v, err := value.ParseJSON([]byte(text)); err == nil {
			return v.Box()
		}
	}
	return text
}

// keysOf are the keys, sorted.
func keysOf[V any](m map[string]V) []string {
	ks := make([]string, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

// maxGuesses bounds how many names are compared with misspelled ones in one file.
const maxGuesses = 500_000

// suggest is diag.Suggest for names of the file, of which there may be thousands.
func (l *loader) suggest(word string, candidates []string) string {
	if l.guesses += len(candidates); l.guesses > maxGuesses {
		return ""
	}
	return diag.Suggest(word, candidates)
}

// listed joins names, and leaves off what nobody would read.
func listed(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func didYouMean(word string, candidates []string) string {
	if s := diag.Suggest(word, candidates); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	return ""
}
