package engine

import (
	"strings"

	"github.com/millstream/millstream/pipelines"
)

// judgeRepeats: in one round without a lane taken away, only keys that a sink failed may be sent again, no more than the engine counted
// and the sink nacked though it had stored.
func (s *simSink) judgeRepeats() {
	w := s.w
	if w.round > 1 || w.abandoned {
		return
	}
	seen, repeats := map[string]bool{}, int64(0)
	for _, a := range s.log {
		if a.letter && w.continues() {
			continue // two copies of one message may fail here
		}
		if !seen[a.path] {
			seen[a.path] = true
			continue
		}
		repeats++
		if !w.failedKeys[a.orderKey(pipelines.ByKey)] && w.program.Order == pipelines.ByKey || len(w.failedKeys) == 0 {
			w.violate("%s got %s again although nothing of its key had failed at a sink", s.name, a.id)
		}
	}
	if repeats > w.resent+w.nackedStored {
		w.violate("%s got %d repeats, %d were counted and %d nacked though stored", s.name, repeats, w.resent, w.nackedStored)
	}
}

func (w *world) continues() bool {
	for i := range w.program.Nodes {
		if w.program.Nodes[i].OnError.Then == pipelines.ThenContinue {
			return true
		}
	}
	return false
}

// judgeOrder: of each key, the last time a record arrived comes after the last time of every earlier one. So whatever came again out of
// order was followed by all that has to come after it. Dead letters have released their key.
func (s *simSink) judgeOrder() {
	w := s.w
	if w.program.Order == pipelines.Unordered || w.holdsBack {
		return
	}
	last := map[string]int{}
	for i, a := range s.log {
		if !a.letter {
			last[a.path] = i
		}
	}
	type tail struct {
		seq int64
		id  string
	}
	tails := map[string]tail{}
	for i, a := range s.log {
		if a.letter || last[a.path] != i || !w.counts(a) || w.failedForGood(s.index, true, a.id, w.program.Sinks[s.index].OnError.Retries) {
			continue
		}
		k := a.orderKey(w.program.Order)
		if t, ok := tails[k]; ok && t.seq > a.seq {
			w.violate("%s got %s for the last time after %s of the same key", s.name, a.id, t.id)
			continue
		}
		tails[k] = tail{a.seq, a.id}
	}
}

// counts reports whether the appearance stems from the last delivery by the source, and the source has kept the order: one that
// acknowledges each record for itself loses it when it has to deliver a record again.
func (w *world) counts(a appearance) bool {
	s := w.sources[int(a.part[1]-'0')]
	for _, p := range s.parts {
		if p.name == a.part {
			n := p.records[a.seq].delivered
			return n == a.attempt && !p.records[a.seq].gone && (n == 1 || s.kind != individualKind)
		}
	}
	return false
}

func (a *appearance) orderKey(o pipelines.Order) string {
	if o == pipelines.BySource {
		return a.part
	}
	if !a.hasKey {
		return a.part + " no key"
	}
	return strings.Join([]string{a.part, a.key}, " ")
}
