package fleet

import (
	"slices"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// task is a step on its way.
type task struct {
	step *Step
	old  *engine.Pipeline // nil when it is new
	// before is what ran, next what is to run; nil where there is nothing.
	before, next *pipelines.Program
	// after are the tasks that must be done first.
	after []*task
	done  chan struct{}
}

func newTask(s *Step, old *engine.Pipeline, next *pipelines.Program) task {
	t := task{step: s, old: old, next: next, done: make(chan struct{})}
	if old != nil {
		t.before = old.Program()
	}
	return t
}

// inTurn lets every task wait for those that let go of a place or thing that it takes. Of tasks that would wait for each other in a
// circle, the last one to close it does not wait; it fails then, and a later reload finds the way free.
func inTurn(tasks []task) {
	holders := map[string][]*task{}
	for i := range tasks {
		t := &tasks[i]
		for _, thing := range lost(t.before, t.next) {
			holders[thing] = append(holders[thing], t)
		}
	}
	for i := range tasks {
		t := &tasks[i]
		for _, thing := range lost(t.next, t.before) {
			for _, h := range holders[thing] {
				if h != t && !h.waitsFor(t) {
					t.after = append(t.after, h)
				}
			}
		}
	}
	takersLast(tasks)
}

// takersLast lets who stops taking what others of the process hand over wait for those that stop handing it over: what they have in flight
// has to go somewhere.
func takersLast(tasks []task) {
	givers := map[string][]*task{}
	for i := range tasks {
		t := &tasks[i]
		for _, name := range without(given(t.before), given(t.next)) {
			givers[name] = append(givers[name], t)
		}
	}
	for i := range tasks {
		t := &tasks[i]
		for _, name := range without(taken(t.before), taken(t.next)) {
			for _, g := range givers[name] {
				if g != t && !g.waitsFor(t) {
					t.after = append(t.after, g)
				}
			}
		}
	}
}

// given and taken are what a program hands to others of the process, and takes from them.
func given(p *pipelines.Program) (names []string) {
	if p == nil {
		return nil
	}
	for i := range p.Sinks {
		names = append(names, p.Sinks[i].Traits.Local)
	}
	return names
}

func taken(p *pipelines.Program) (names []string) {
	if p == nil {
		return nil
	}
	for i := range p.Sources {
		names = append(names, p.Sources[i].Traits.Local)
	}
	return names
}

// without are the names of a that b has not; no name is none.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return name == "" || slices.Contains(b, name) })
}

func (t *task) waitsFor(o *task) bool {
	for _, a := range t.after {
		if a == o || a.waitsFor(o) {
			return true
		}
	}
	return false
}

// lost are the things that a has and b does not.
func lost(a, b *pipelines.Program) []string {
	has := map[string]bool{}
	for _, thing := range things(b) {
		has[thing] = true
	}
	var out []string
	for _, thing := range things(a) {
		if !has[thing] {
			has[thing] = true
			out = append(out, thing)
		}
	}
	return out
}

// things are what a program needs for itself, or reads and writes.
func things(p *pipelines.Program) []string {
	if p == nil {
		return nil
	}
	var out []string
	add := func(t *flow.Traits) {
		if t.Exclusive != "" {
			out = append(out, "exclusive "+t.Exclusive)
		}
		if t.Address != "" {
			out = append(out, "address "+t.Address)
		}
	}
	for i := range p.Sources {
		add(&p.Sources[i].Traits)
	}
	for i := range p.Sinks {
		add(&p.Sinks[i].Traits)
	}
	return out
}
