package mapping

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/pipelines"
)

// diamonds is a source, n pairs of nodes that both read what is before them, and a sink.
func diamonds(n int) *pipelines.Program {
	p := &pipelines.Program{
		Sources: []pipelines.Source{{Name: "in", Connector: "kafka"}},
		Sinks:   []pipelines.Sink{{Name: "out", Connector: "stdout"}, {Name: "dead", Connector: "stdout"}},
	}
	next := []pipelines.Edge{{Sink: true, Index: 0}}
	for i := range n {
		for _, side := range []string{"l", "r"} {
			p.Nodes = append(p.Nodes, pipelines.Node{Name: side + strconv.Itoa(i), Verb: "transform", Ports: [][]pipelines.Edge{next}})
		}
		next = []pipelines.Edge{{Index: 2 * i}, {Index: 2*i + 1}}
	}
	p.Sources[0].Out = next
	return p
}

func TestEveryPathIsFollowed(t *testing.T) {
	got := Explain(diamonds(2), nil, nil)
	want := [][]string{
		{"in", "l1", "l0", "out"}, {"in", "l1", "r0", "out"}, {"in", "r1", "l0", "out"}, {"in", "r1", "r0", "out"},
	}
	if len(got) != 1 || got[0].More {
		t.Fatalf("%d promises: %+v", len(got), got)
	}
	if diff := cmp.Diff(want, got[0].Paths); diff != "" {
		t.Error(diff)
	}
}

func TestAGraphOfManyPathsEndsAndSaysSo(t *testing.T) {
	got := Explain(diamonds(60), nil, nil)
	if len(got) != 1 || !got[0].More || len(got[0].Paths) != mostPaths {
		t.Errorf("paths: %d, more: %v", len(got[0].Paths), got[0].More)
	}
}

func TestWhatGetsLostIsRefusedUnlessItIsAllowed(t *testing.T) {
	got := Explain(diamonds(1), []string{"headers", "time"}, nil)
	if diff := cmp.Diff([]string{"key"}, got[0].Refused); diff != "" {
		t.Error(diff)
	}
}

func TestWordsThatLoseMessagesAreNamed(t *testing.T) {
	p := diamonds(1)
	p.Nodes[0].Verb, p.Nodes[0].Owner = "route", "l0"
	p.Nodes[1].Verb = "filter"
	p.Nodes[1].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
	p.Sources[0].OnError = pipelines.Policy{Then: pipelines.ThenErrors}
	p.Sinks[0].OnError = pipelines.Policy{Then: pipelines.ThenDrop}
	p.Sinks[0].Optional = true
	want := []string{
		"out is optional: what it cannot take is dropped and counted",
		"l0 drops what no case takes (unmatched: drop)",
		"r0 (filter) lets only some through",
		"readers of .errors get what fails at in",
		"dead letters to dead are what fails at r0",
		"dropped is what fails at out",
	}
	if diff := cmp.Diff(want, Explain(p, nil, []string{"l0"})[0].Losses); diff != "" {
		t.Error(diff)
	}
}
