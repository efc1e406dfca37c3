package dag_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millstream/millstream/pipelines/dag"
)

func graph(n int, edges ...[2]int) *dag.Graph {
	g := dag.New(n)
	for _, e := range edges {
		g.Edge(e[0], e[1])
	}
	return g
}

func TestOrderPutsEachNodeBehindWhatItReads(t *testing.T) {
	for name, c := range map[string]struct {
		g    *dag.Graph
		want []int
	}{
		"nothing":                            {graph(0), nil},
		"without edges, by number":           {graph(3), []int{0, 1, 2}},
		"a chain against the numbers":        {graph(3, [2]int{2, 1}, [2]int{1, 0}), []int{2, 1, 0}},
		"a diamond":                          {graph(4, [2]int{0, 1}, [2]int{0, 2}, [2]int{1, 3}, [2]int{2, 3}), []int{0, 1, 2, 3}},
		"an edge twice":                      {graph(2, [2]int{1, 0}, [2]int{1, 0}), []int{1, 0}},
		"the smaller of those that are free": {graph(4, [2]int{3, 0}), []int{1, 2, 3, 0}},
	} {
		got, ok := c.g.Order()
		if d := cmp.Diff(c.want, got); d != "" || !ok {
			t.Errorf("%s: ok is %v, order (-want +got):\n%s", name, ok, d)
		}
	}
}

func TestWhatLiesInOrBehindACycleHasNoOrder(t *testing.T) {
	got, ok := graph(5, [2]int{0, 1}, [2]int{1, 2}, [2]int{2, 1}, [2]int{2, 3}).Order()
	if d := cmp.Diff([]int{0, 4}, got); d != "" || ok {
		t.Errorf("ok is %v, order (-want +got):\n%s", ok, d)
	}
}

func TestACycleBeginsWithItsSmallestNode(t *testing.T) {
	for name, c := range map[string]struct {
		g    *dag.Graph
		want []int
	}{
		"none":                     {graph(3, [2]int{0, 1}, [2]int{1, 2}, [2]int{0, 2}), nil},
		"a node that reads itself": {graph(2, [2]int{1, 1}), []int{1}},
		"two":                      {graph(3, [2]int{2, 1}, [2]int{1, 2}), []int{1, 2}},
		"entered in the middle":    {graph(4, [2]int{0, 3}, [2]int{3, 1}, [2]int{1, 2}, [2]int{2, 3}), []int{1, 2, 3}},
	} {
		if d := cmp.Diff(c.want, c.g.Cycle()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestEveryGraphHasAnOrderOrACycle(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n := 1 + random.IntN(12)
		g, edges := dag.New(n), [][2]int{}
		for range random.IntN(20) {
			e := [2]int{random.IntN(n), random.IntN(n)}
			edges = append(edges, e)
			g.Edge(e[0], e[1])
		}
		order, ok := g.Order()
		cycle := g.Cycle()
		if ok == (cycle != nil) {
			t.Fatalf("%v: order %v, cycle %v", edges, order, cycle)
		}
		for _, e := range edges {
			if ok && slices.Index(order, e[0]) >= slices.Index(order, e[1]) {
				t.Fatalf("%v is not kept by %v", e, order)
			}
		}
		for i, from := range cycle {
			if !slices.Contains(edges, [2]int{from, cycle[(i+1)%len(cycle)]}) {
				t.Fatalf("the cycle %v has a hop without an edge", cycle)
			}
		}
	}
}
