package engine

import (
	"time"

	"github.com/millstream/millstream/flow"
)

// Trouble is a source or a sink that does not get through now. It goes on trying.
type Trouble struct {
	// Kind is source or sink, Part its name.
	Kind  string    `json:"kind"`
	Part  string    `json:"part"`
	Since time.Time `json:"since"`
	// Message says why; secrets are masked.
	Message string `json:"message"`
}

// passing is how old a trouble is before it is spoken of: a partition that gets another leader is none.
const passing = time.Second

// Troubles are the sources and sinks that do not get through now: what they say themselves, sinks whose last send failed for no fault of its
// messages, and optional sinks that are not open. A pipeline that has ended, or not begun, has none. It is called at any time.
func (h *Pipeline) Troubles() []Trouble {
	if h.hasEnded() || !h.p.hasStarted() {
		return nil
	}
	var all []Trouble
	note := func(kind, name string, since time.Time, err error) {
		if err != nil && time.Since(since) >= passing {
			all = append(all, Trouble{Kind: kind, Part: name, Since: since.UTC(), Message: (*h.p.mask.Load())(err.Error())})
		}
	}
	for _, s := range h.p.sourceList() {
		since, err := troubleOf(s.source)
		note("source", s.name, since, err)
	}
	for _, s := range h.p.graph.Load().sinks {
		since, err := s.trouble()
		note("sink", s.name, since, err)
	}
	return all
}

// troubleOf is what a source or sink says of itself.
func troubleOf(part any) (since time.Time, err error) {
	troubled, ok := part.(flow.Troubled)
	if !ok {
		return time.Time{}, nil
	}
	broken := guard(func() error { since, err = troubled.Trouble(); return nil })
	if broken != nil {
		return time.Time{}, nil
	}
	return since, err
}

// trouble is what is wrong with the sink: what it says itself, or else what its last send met.
func (s *sinkRun) trouble() (since time.Time, err error) {
	if s.optional != nil {
		if why := s.optional.opening.why(); why != nil {
			return s.optional.opening.began, why
		}
	}
	h := &s.health
	h.mu.Lock()
	if h.trouble != nil {
		since, err = h.since, h.trouble
	}
	h.mu.Unlock()
	saidSince, said := troubleOf(s.sink)
	switch {
	case said == nil:
		return since, err
	case err == nil || saidSince.Before(since):
		since = saidSince
	}
	return since, said
}
