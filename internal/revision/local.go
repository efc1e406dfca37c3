package revision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// checkLocal warns of what pipelines of one process hand to each other and nobody takes, wait for and nobody hands over, or lead in a
// circle.
func checkLocal(programs []*pipelines.Program, findings *diag.List) {
	given, taken, open := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range programs {
		for i := range p.Sinks {
			given[p.Sinks[i].Traits.Local] = true
			if p.Sinks[i].Traits.Local == "" {
				open[p.Sinks[i].Connector] = true // the message decides, so that it may be anything
			}
		}
		for i := range p.Sources {
			taken[p.Sources[i].Traits.Local] = true
		}
	}
	warn := func(p *pipelines.Program, code diag.Code, message, hint string) {
		f := p.Finding(code, message, hint)
		f.Severity = diag.Warning
		findings.Add(f)
	}
	for _, p := range programs {
		for i := range p.Sinks {
			if s := &p.Sinks[i]; s.Traits.Local != "" && !taken[s.Traits.Local] {
				warn(p, diag.UnreadTopic, fmt.Sprintf("sink %s writes to the %s, which no pipeline here reads: its messages wait for ever", s.Name, s.Traits.Local),
					meant(s.Traits.Local, taken, "let a pipeline of the same process read it"))
			}
		}
		for i := range p.Sources {
			if s := &p.Sources[i]; s.Traits.Local != "" && !given[s.Traits.Local] && !open[s.Connector] {
				warn(p, diag.UnwrittenTopic, fmt.Sprintf("source %s reads the %s, which no pipeline here writes to", s.Name, s.Traits.Local),
					meant(s.Traits.Local, given, "let a pipeline of the same process write to it"))
			}
		}
	}
	for _, ring := range rings(programs) {
		warn(ring[0].of, diag.TopicRing, "pipelines feed each other in a circle: "+hops(ring),
			"a message that nothing filters out goes round for ever, and when all their limits are reached, all of them stand still: break the circle")
	}
}

// meant is a hint with the name that was probably meant.
func meant(name string, there map[string]bool, otherwise string) string {
	var names []string
	for n := range there {
		if n != "" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	if near := diag.Suggest(name, names); near != "" {
		return "did you mean the " + near + "?"
	}
	return otherwise
}

// hop is a pipeline with the name under which the one before it feeds it.
type hop struct {
	of  *pipelines.Program
	via string
}

// hops says a ring as it is read: a → memory topic x → b → memory topic y → a.
func hops(ring []hop) string {
	var b strings.Builder
	b.WriteString(ring[0].of.Name)
	for _, h := range ring[1:] {
		b.WriteString(" → " + h.via + " → " + h.of.Name)
	}
	return b.String()
}

// rings lists circles of pipelines, the shortest of each pipeline that is in none of those before. A ring ends with the pipeline that it
// begins with.
func rings(programs []*pipelines.Program) [][]hop {
	readers := map[string][]*pipelines.Program{}
	for _, p := range programs {
		for i := range p.Sources {
			if name := p.Sources[i].Traits.Local; name != "" && !slices.Contains(readers[name], p) {
				readers[name] = append(readers[name], p)
			}
		}
	}
	var found [][]hop
	in := map[*pipelines.Program]bool{}
	for _, p := range programs {
		if in[p] {
			continue
		}
		if ring := ringOf(p, readers); ring != nil {
			found = append(found, ring)
			for _, h := range ring {
				in[h.of] = true
			}
		}
	}
	return found
}

// ringOf is the shortest way from a pipeline back to itself; nil when there is none.
func ringOf(p *pipelines.Program, readers map[string][]*pipelines.Program) []hop {
	seen := map[*pipelines.Program]bool{}
	for ways := [][]hop{{{of: p}}}; len(ways) > 0; ways = ways[1:] {
		way := ways[0]
		at := way[len(way)-1].of
		for i := range at.Sinks {
			via := at.Sinks[i].Traits.Local
			for _, next := range readers[via] {
				longer := append(slices.Clone(way), hop{of: next, via: via})
				if next == p {
					return longer
				}
				if !seen[next] {
					seen[next] = true
					ways = append(ways, longer)
				}
			}
		}
	}
	return nil
}
