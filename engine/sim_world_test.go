package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// world is one simulated run: what survives a crash (sources' positions, sinks' contents), the facts that the components noted, and
// the violations found. All that is random in it follows from the seed, but for the scheduler's choice among things that happen at the
// same simulated instant.
type world struct {
	seed    uint64
	program *pipelines.Program
	graph   []string // for the report

	mu      sync.Mutex
	rng     *rand.Rand
	began   time.Time
	round   int // how often the pipeline was started
	crashed bool
	healed  bool // nothing fails any more

	offered   bool // set while the facts are read: an optional sink was to get something
	holdsBack bool // a node holds messages, which gives up their order

	sources []*simSource
	sinks   []*simSink

	variants int               // of the program
	running  map[string]string // how each source and sink is opened
	reloads  bool              // one is under way

	facts      map[fact]int
	failedKeys map[string]bool
	unhandled  int
	abandoned  bool
	events     []event
	violations []string

	// of all rounds
	resent, stored, nackedStored int64
}

// fact is something a component did with a message, by the message's id, which tells its way through the graph.
type fact struct {
	what  string // passed, refused, transient; confirmed, letter
	place int
	sink  bool
	id    string
}

type event struct {
	at    time.Duration
	what  string
	place string
	id    string
}

const keptEvents = 400

func newWorld(seed uint64) *world {
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 0x6d696c6c)), facts: map[fact]int{}, running: map[string]string{}, failedKeys: map[string]bool{}, began: time.Now(),
	}
	w.build()
	return w
}

// chance decides something about a message at a place: always the same for one seed.
func (w *world) chance(place, id string, salt uint64) uint64 {
	h := w.seed*0x9e3779b97f4a7c15 + salt + 14695981039346656037
	for _, s := range [...]string{place, "/", id} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

func (w *world) intn(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *world) note(f fact) (times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts[f]++
	return w.facts[f]
}

// noteUpTo notes a fact that happens so many times at most, and reports whether it happened.
func (w *world) noteUpTo(f fact, most int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.facts[f] >= most {
		return false
	}
	w.facts[f]++
	return true
}

func (w *world) log(what, place, id string) {
	w.mu.Lock()
	w.logLocked(what, place, id)
	w.mu.Unlock()
}

func (w *world) logLocked(what, place, id string) {
	if len(w.events) >= 2*keptEvents {
		w.events = append(w.events[:0], w.events[keptEvents:]...)
	}
	w.events = append(w.events, event{time.Since(w.began), what, place, id})
}

func (w *world) violate(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violateLocked(format, args...)
}

func (w *world) violateLocked(format string, args ...any) {
	if len(w.violations) < 10 {
		w.violations = append(w.violations, fmt.Sprintf(format, args...))
		w.logLocked("VIOLATION", w.violations[len(w.violations)-1], "")
	}
}

func (w *world) isHealed() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.healed }

// report is what a failing seed prints.
func (w *world) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d (repeat it with -sim.seed %d)\n", w.seed, w.seed)
	for _, v := range w.violations {
		fmt.Fprintf(&b, "  violated: %s\n", v)
	}
	for _, g := range w.graph {
		fmt.Fprintf(&b, "  graph: %s\n", g)
	}
	events := w.events[max(0, len(w.events)-keptEvents):]
	for _, e := range events {
		fmt.Fprintf(&b, "  %10s %-10s %s %s\n", e.at, e.what, e.place, e.id)
	}
	return b.String()
}

// letterID tells the dead letters of one message apart, by who failed it.
func letterID(id, by string) string { return id + " failed by " + by }

// holds evaluates what became of a message at an edge from the facts: the worst end of its branches, or Open when a branch has not
// ended. sure is false when more than one outcome fits. by is who failed a message that comes as a dead letter to sinks.
func (w *world) holds(e pipelines.Edge, id, by string) (end flow.End, sure bool) {
	if e.Sink {
		return w.holdsSink(e.Index, id, by)
	}
	n := &w.program.Nodes[e.Index]
	end, sure = flow.Open, true
	if w.facts[fact{"passed", e.Index, false, id}] > 0 {
		end = flow.Filtered
		for _, out := range w.outputs(e.Index, id) {
			x, s := w.holdsAll(n.Ports[out.port], out.id, "")
			end, sure = worse(end, x), sure && s
		}
	}
	if !w.failedForGood(e.Index, false, id, n.OnError.Retries) {
		return end, sure
	}
	return either(end, sure, func() (flow.End, bool) { return w.holdsFailure(n.OnError, n.Errors, n.Ports[0], id, n.Name) })
}

func (w *world) holdsSink(sink int, id, by string) (flow.End, bool) {
	s := &w.program.Sinks[sink]
	switch {
	case by != "" && w.facts[fact{"letter", sink, true, letterID(id, by)}] > 0:
		return flow.DeadLettered, true
	case by != "":
		return flow.Open, true
	}
	if s.Optional {
		return w.holdsOptional(sink, id)
	}
	end := flow.Open
	if w.facts[fact{"confirmed", sink, true, id}] > 0 {
		end = flow.Delivered
	}
	if !w.failedForGood(sink, true, id, s.OnError.Retries) {
		return end, true
	}
	return either(end, true, func() (flow.End, bool) { return w.holdsFailure(s.OnError, s.Errors, nil, id, s.Name) })
}

// holdsOptional: nobody waits for the sink, so having been prepared for it is enough, and being refused by it too. Whether its queue had
// room cannot be told from outside; it matters only when the record has no other end.
func (w *world) holdsOptional(sink int, id string) (flow.End, bool) {
	if w.facts[fact{"prepared", sink, true, id}]+w.facts[fact{"refused", sink, true, id}] == 0 {
		return flow.Open, true
	}
	w.offered = true
	return flow.Filtered, true
}

// failedForGood reports whether the place failed the message in a way that on_error had to decide about.
func (w *world) failedForGood(place int, sink bool, id string, retries int) bool {
	return w.facts[fact{"refused", place, sink, id}] > 0 || retries >= 0 && w.facts[fact{"transient", place, sink, id}] > retries
}

func (w *world) holdsFailure(p pipelines.Policy, errors, next []pipelines.Edge, id, by string) (flow.End, bool) {
	switch p.Then {
	case pipelines.ThenSink:
		return w.holdsSink(p.Sink, id, by)
	case pipelines.ThenErrors:
		end, sure := w.holdsAll(errors, id, by)
		if end != flow.Open {
			end = flow.DeadLettered
		}
		return end, sure
	case pipelines.ThenContinue:
		if len(next) > 0 {
			return w.holdsAll(next, id, "")
		}
	case pipelines.ThenDrop:
		return flow.Dropped, true
	}
	return flow.Open, true
}

func (w *world) holdsAll(edges []pipelines.Edge, id, by string) (flow.End, bool) {
	end, sure := flow.Filtered, true
	for _, e := range edges {
		x, s := w.holds(e, id, by)
		end, sure = worse(end, x), sure && s
	}
	return end, sure
}

// worse is the worst of two ends of branches; an open branch leaves the whole open.
func worse(a, b flow.End) flow.End {
	if a == flow.Open || b == flow.Open {
		return flow.Open
	}
	return max(a, b)
}

// either combines two outcomes that both fit what was seen.
func either(a flow.End, sure bool, other func() (flow.End, bool)) (flow.End, bool) {
	b, s := other()
	switch {
	case a == flow.Open:
		return b, s
	case b == flow.Open:
		return a, sure
	}
	return max(a, b), false
}
