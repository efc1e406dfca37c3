package pipelines

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// onError is an on_error as written.
type onError struct {
	Retry *retry          `yaml:"retry"`
	Then  *yamldoc.Scalar `yaml:"then"`
}

// retry is `none`, or how often and how fast.
type retry struct {
	none    bool
	Max     *int     `yaml:"max"`
	Backoff *backoff `yaml:"backoff"`
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (r *retry) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	if v.Kind() == yamldoc.KindScalar {
		if v.Scalar().Text == "none" {
			r.none = true
			return
		}
		c.WrongType(v, "none, or a mapping with max and backoff")
		return
	}
	type plain retry
	var p plain
	yamldoc.Decode(v, &p, c)
	r.Max, r.Backoff = p.Max, p.Backoff
	if r.Max != nil && *r.Max < 0 {
		v.Finding(c.Findings, diag.BadValue, "max must not be negative", "leave max out to retry for ever")
	}
}

// KnownKeys implements yamldoc.KeyKnower.
func (r *retry) KnownKeys() []string { return []string{"max", "backoff"} }

// backoff is a range of durations, 200ms..30s, or one that does not grow.
type backoff struct{ from, to time.Duration }

// UnmarshalText reads the range.
func (b *backoff) UnmarshalText(text []byte) error {
	first, last, ranged := strings.Cut(string(text), "..")
	if !ranged {
		last = first
	}
	from, err1 := time.ParseDuration(strings.TrimSpace(first))
	to, err2 := time.ParseDuration(strings.TrimSpace(last))
	if err1 != nil || err2 != nil || from <= 0 || to < from {
		return fmt.Errorf("must be a range of durations such as 200ms..30s")
	}
	b.from, b.to = from, to
	return nil
}

// policy fills an on_error with the defaults; nil is the default whole. where says what may stand in then.
func (l *loader) policy(e *onError) Policy {
	p := DefaultPolicy()
	if e == nil {
		return p
	}
	if r := e.Retry; r != nil {
		if r.none {
			p.Retries = 0
		}
		if r.Max != nil {
			p.Retries = *r.Max
		}
		if r.Backoff != nil && r.Backoff.from > 0 {
			p.MinBackoff, p.MaxBackoff = r.Backoff.from, r.Backoff.to
		}
	}
	if e.Then != nil {
		l.then(&p, *e.Then)
	}
	return p
}

func (l *loader) then(p *Policy, word yamldoc.Scalar) {
	switch word.Text {
	case "pause":
		p.Then = ThenPause
	case "stop":
		p.Then = ThenStop
	case "drop":
		p.Then = ThenDrop
	case "continue":
		p.Then = ThenContinue
	default:
		target := l.byName[word.Text]
		if target == nil || target.kind != sinkPart {
			l.unknownThen(word, target)
			return
		}
		target.letters = true
		p.Then, p.Sink = ThenSink, target.index
	}
}

func (l *loader) unknownThen(word yamldoc.Scalar, target *part) {
	if target != nil {
		l.findings.Add(word.Whole(diag.UnknownName, fmt.Sprintf("then: takes a sink, and %q is a %s", word.Text, target.kind),
			"name a sink, or write drop, continue, stop or pause; nodes read the failures of x as from: x.errors"))
		return
	}
	candidates := []string{"drop", "continue", "stop", "pause"}
	for _, p := range l.parts {
		if p.kind == sinkPart {
			candidates = append(candidates, p.name)
		}
	}
	hint := didYouMean(word.Text, candidates)
	if hint == "" {
		hint = "write one of " + strings.Join(candidates, ", ")
	}
	l.findings.Add(word.Whole(diag.UnknownName, fmt.Sprintf("then: %s names no sink", strconv.Quote(word.Text)), hint))
}
