package pipelines

import (
	"fmt"
	"slices"
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
	// letters is the sink that then names.
	letters *part
	// unread: it has a finding as a whole, and any sink may have been meant by it.
	unread bool
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (e *onError) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	switch v.Kind() {
	case yamldoc.KindMapping:
		type plain onError
		var p plain
		yamldoc.Decode(v, &p, c)
		*e = onError(p)
	case yamldoc.KindScalar:
		e.unread = true
		v.Finding(c.Findings, diag.WrongType, "on_error must be a mapping with retry and then", fmt.Sprintf("write { then: %s }", v.Scalar().Text))
	default:
		e.unread = true
		c.WrongType(v, "a mapping with retry and then")
	}
}

// KnownKeys implements yamldoc.KeyKnower.
func (e *onError) KnownKeys() []string { return []string{"retry", "then"} }

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
		if limit, ok := v.Lookup("max"); ok {
			limit.Finding(c.Findings, diag.BadValue, "max must not be negative", "leave max out to retry for ever")
		}
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

// resolveThen finds the sink that each then names.
func (l *loader) resolveThen() {
	l.thenOf(l.file.OnError)
	for _, p := range l.parts {
		l.thenOf(p.onError)
		for _, s := range p.steps {
			l.thenOf(s.onError)
		}
	}
	l.checkLetters()
}

func (l *loader) thenOf(e *onError) {
	if e != nil && e.unread {
		l.lettersLost()
	}
	if e == nil || e.Then == nil || e.Then.Line == 0 { // without a place it has a finding
		return
	}
	if _, word := thenWords[e.Then.Text]; word || !l.context.NoVariable(*e.Then) {
		return
	}
	target := l.byName[e.Then.Text]
	if target == nil || target.kind != sinkPart {
		if !l.sinkLost(e.Then.Text) {
			l.unknownThen(*e.Then, target)
		}
		return
	}
	target.letters = true
	if target.namedIn == 0 {
		target.namedIn = e.Then.Line
	}
	e.letters = target
}

// checkLetters reports sinks whose own on_error leads dead letters back to them: what none of them takes would go round for ever.
func (l *loader) checkLetters() {
	said := map[*part]bool{}
	for _, p := range l.parts {
		hops := []string{p.name}
		for next := p.lettersTo(); next != nil && !said[p] && len(hops) <= len(l.parts); next = next.lettersTo() {
			hops = append(hops, next.name)
			if next != p {
				continue
			}
			message := "dead letters go round in a circle: " + strings.Join(hops, " → ")
			if len(hops) == 2 {
				message = fmt.Sprintf("sink %q is to take the dead letters that it cannot take itself", p.name)
			}
			l.findings.Add(p.onError.Then.Whole(diag.Cycle, message, "write then: pause, stop or drop, or another sink that does not lead back here"))
			for around := p; !said[around]; around = around.lettersTo() {
				said[around] = true
			}
			break
		}
	}
}

// lettersTo is the sink that the own on_error of a sink names.
func (p *part) lettersTo() *part {
	if p.kind != sinkPart || p.onError == nil {
		return nil
	}
	return p.onError.letters
}

// thenWords are the words that then takes beside the names of sinks.
var thenWords = map[string]Then{"pause": ThenPause, "stop": ThenStop, "drop": ThenDrop, "continue": ThenContinue}

// policy fills an on_error with the defaults; nil is the default whole.
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
	switch {
	case e.letters != nil:
		p.Then, p.Sink, p.Unsaid = ThenSink, e.letters.index, false
	case e.Then != nil:
		p.Then, p.Unsaid = thenWords[e.Then.Text], false
	}
	return p
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
	hint := "write one of " + listed(candidates)
	if near := l.suggest(word.Text, candidates); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
		if p := l.byName[near]; p != nil {
			p.letters = true
		}
	} else {
		l.lettersLost()
	}
	l.findings.Add(word.Whole(diag.UnknownName, fmt.Sprintf("then: %s names no sink", strconv.Quote(word.Text)), hint))
}

// sinkLost tells whether a sink of that name may be there beside what could be read.
func (l *loader) sinkLost(name string) bool {
	return l.sinksLost || slices.ContainsFunc(l.parts, func(p *part) bool { return p.kind == sinkPart && p.name == name })
}

// lettersLost notes that any sink may have been meant by a then.
func (l *loader) lettersLost() {
	for _, p := range l.parts {
		p.letters = p.letters || p.kind == sinkPart
	}
}
