package pipelines

import (
	"fmt"
	"slices"

	"github.com/millstream/millstream/pipelines/diag"
)

// checkLosses warns of sinks that have no place for headers where messages with headers come to them, unless the file allows it. It is no
// error: whether there are headers at all, only the messages know. A sink that reads failures writes them with their headers in any case.
func (l *loader) checkLosses() {
	if l.damaged || l.lossesLost || slices.Contains(l.file.AllowLoss, "headers") {
		return
	}
	for _, p := range l.parts {
		if p.kind != sinkPart || l.prog.Sinks[p.index].Connector == "" || l.prog.Sinks[p.index].Traits.Headers {
			continue
		}
		seen := map[*part]bool{}
		for _, r := range p.from {
			if r.errors {
				continue
			}
			if s := l.headersFrom(r.target, seen); s != nil {
				at := keyOf(p.value, p.connector)
				f := at.Whole(diag.LostPart, fmt.Sprintf("%s has no place for headers, and the messages of %q can have some", p.connector, s.name),
					"write allow_loss: [headers] at the top of the file to let them go")
				f.Severity = diag.Warning
				l.findings.Add(f)
				break
			}
		}
	}
}

// headersFrom finds a source whose messages come to p and can have headers.
func (l *loader) headersFrom(p *part, seen map[*part]bool) *part {
	if p == nil || seen[p] {
		return nil
	}
	seen[p] = true
	if p.kind == sourcePart && l.prog.Sources[p.index].Traits.Headers {
		return p
	}
	for _, r := range p.from {
		if s := l.headersFrom(r.target, seen); s != nil {
			return s
		}
	}
	return nil
}
