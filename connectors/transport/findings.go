package transport

import (
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
