package pipelines

import (
	"fmt"

	"github.com/millstream/millstream/pipelines/diag"
)

// checkOptional refuses what an optional sink cannot keep: nothing waits for it, and what it cannot take is dropped and counted. So it
// can neither confirm a failed message nor hand its own failures on. A sink has one finding, whatever it is used for.
func (l *loader) checkOptional() {
	for _, p := range l.parts {
		if p.kind != sinkPart || !p.optional {
			continue
		}
		if message, hint := p.waitedFor(); message != "" {
			at := keyOf(p.value, "optional")
			l.findings.Add(at.Whole(diag.ConflictingKey, fmt.Sprintf("sink %q is optional, %s", p.name, message), hint))
		}
	}
}

// waitedFor says why an optional sink must not be optional; the message is "" where it may.
func (p *part) waitedFor() (message, hint string) {
	const leave = "leave optional out, so that the message waits until the sink has confirmed it"
	if p.letters && p.namedIn > 0 {
		return fmt.Sprintf("and line %d names it in then: a dead letter must be confirmed", p.namedIn), leave
	}
	for _, r := range p.from {
		if r.errors {
			return fmt.Sprintf("and it reads %s: a failed message must be confirmed", r.at.Text), leave
		}
	}
	const dropped = "and what it cannot take is dropped and counted, so "
	switch {
	case p.onError != nil:
		return dropped + "its on_error would never count", "leave out optional or on_error"
	case len(p.erring) > 0:
		return dropped + fmt.Sprintf("%q has nothing to read from %s.errors", p.erring[0].name, p.name), "leave out optional or the reader of " + p.name + ".errors"
	}
	return "", ""
}
