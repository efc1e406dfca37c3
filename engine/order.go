package engine

import (
	"context"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// feeds tells whether a hands something to b within the process.
func feeds(a, b *pipelines.Program) bool {
	taken := map[string]bool{}
	for i := range b.Sources {
		taken[b.Sources[i].Traits.Local] = true
	}
	for i := range a.Sinks {
		if name := a.Sinks[i].Traits.Local; name != "" && taken[name] {
			return true
		}
	}
	return false
}

// feedersOf lists for each pipeline those that feed it, so that they can end first. Of pipelines that feed each other in a circle, the one
// that closes it is left out.
func feedersOf(ps []*Pipeline) map[*Pipeline][]*Pipeline {
	feeders := map[*Pipeline][]*Pipeline{}
	var waits func(a, b *Pipeline) bool
	waits = func(a, b *Pipeline) bool {
		for _, f := range feeders[a] {
			if f == b || waits(f, b) {
				return true
			}
		}
		return false
	}
	for _, b := range ps {
		if !takes(b.Program()) {
			continue
		}
		for _, a := range ps {
			if a != b && feeds(a.Program(), b.Program()) && !waits(a, b) {
				feeders[b] = append(feeders[b], a)
			}
		}
	}
	return feeders
}

// takes tells whether a pipeline takes anything from others of the process.
func takes(p *pipelines.Program) bool {
	for i := range p.Sources {
		if p.Sources[i].Traits.Local != "" {
			return true
		}
	}
	return false
}

// stopAfter stops a pipeline once those that feed it have ended. Its other sources stop reading at once.
func (h *Pipeline) stopAfter(ctx context.Context, feeders []*Pipeline) error {
	if len(feeders) > 0 {
		h.p.stopOthers(func(t *flow.Traits) bool { return t.Local != "" })
	}
	for _, f := range feeders {
		if h.State() == Paused {
			break // it takes nothing
		}
		select {
		case <-f.Done():
		case <-h.Done():
		case <-ctx.Done():
		}
	}
	return h.Stop(ctx)
}

// stopOthers stops the reading of all sources but those that go on.
func (p *pipeline) stopOthers(goOn func(t *flow.Traits) bool) {
	g := p.graph.Load()
	for _, s := range p.sourceList() {
		if of := g.sources[s.name]; of != nil && !goOn(&of.spec.Traits) {
			s.stopReading()
		}
	}
}
