package transport

import (
	"fmt"
	"path"

	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Finding adds a finding about the option of that name, or about the whole configuration when the option is not written in it (it
// came from a connection, or is missing).
func Finding(b *config.Builder, option, message, hint string) {
	FindingWithCode(b, diag.BadValue, option, message, hint)
}

// FindingWithCode is Finding with a code of its own.
func FindingWithCode(b *config.Builder, code diag.Code, option, message, hint string) {
	at := b.Value
	if at == nil {
		b.Findings.Add(diag.Finding{Code: code, Message: message, Hint: hint})
		return
	}
	if v := entry(at, option); v != nil {
		at = v
	}
	at.Finding(b.Findings, code, message, hint)
}

func entry(v *yamldoc.Value, key string) *yamldoc.Value {
	for _, e := range v.Entries() {
		if e.Key.Text == key {
			return e.Value
		}
	}
	return nil
}

// CheckGlobs adds a finding about each pattern of allow that can match nothing because it is not complete.
func CheckGlobs(b *config.Builder, globs []string) {
	for _, g := range globs {
		if _, err := path.Match(g, ""); err != nil {
			Finding(b, "allow", fmt.Sprintf("the pattern %q is not complete", g), "close the bracket")
		}
	}
}

// CheckSecret adds a finding when a secret is part of a text that is shown, such as a destination.
func CheckSecret(b *config.Builder, t *yamldoc.Text) {
	if t.Tainted {
		b.Findings.Add(t.Whole(diag.SecretShown, "a secret is part of a text that is shown", "keep secrets in fields that are never shown"))
	}
}

// Matches tells whether a name matches one of the globs.
func Matches(globs []string, name string) bool {
	for _, g := range globs {
		if ok, err := path.Match(g, name); err == nil && ok {
			return true
		}
	}
	return false
}
