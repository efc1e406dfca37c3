// Package dag orders the nodes of a directed graph and finds its cycles. It knows nothing of pipelines or messages: nodes are
// numbers.
package dag

import "container/heap"

// Graph has nodes 0 to n-1 and edges between them.
type Graph struct {
	next [][]int
	into []int
}

// New makes a graph of n nodes without edges.
func New(n int) *Graph { return &Graph{next: make([][]int, n), into: make([]int, n)} }

// Edge adds an edge. The same edge may be added more than once.
func (g *Graph) Edge(from, to int) {
	g.next[from] = append(g.next[from], to)
	g.into[to]++
}

// Order lists the nodes so that each comes after all it has an edge from; among nodes that are free, the smaller number first. ok is
// false when there is a cycle; the nodes in or behind cycles are then missing.
func (g *Graph) Order() (order []int, ok bool) {
	into := append([]int(nil), g.into...)
	free := &numbers{}
	for n := range into {
		if into[n] == 0 {
			*free = append(*free, n) // ascending: a heap already
		}
	}
	for free.Len() > 0 {
		n, _ := heap.Pop(free).(int)
		order = append(order, n)
		for _, to := range g.next[n] {
			if into[to]--; into[to] == 0 {
				heap.Push(free, to)
			}
		}
	}
	return order, len(order) == len(into)
}

// numbers is a heap with the smallest first.
type numbers []int

// Len implements heap.Interface.
func (h *numbers) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *numbers) Less(i, j int) bool { return (*h)[i] < (*h)[j] }

// Swap implements heap.Interface.
func (h *numbers) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }

// Push implements heap.Interface.
func (h *numbers) Push(x any) {
	if n, ok := x.(int); ok {
		*h = append(*h, n)
	}
}

// Pop implements heap.Interface.
func (h *numbers) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	*h = (*h)[:last]
	return n
}

// Cycle returns one cycle as the nodes along it, each once, beginning with its smallest; nil when there is none.
func (g *Graph) Cycle() []int {
	state := make([]int8, len(g.next)) // 1 on the path, 2 done
	var path []int
	var visit func(n int) []int
	visit = func(n int) []int {
		state[n] = 1
		path = append(path, n)
		for _, to := range g.next[n] {
			switch state[to] {
			case 0:
				if c := visit(to); c != nil {
					return c
				}
			case 1:
				return smallestFirst(path, to)
			}
		}
		state[n] = 2
		path = path[:len(path)-1]
		return nil
	}
	for n := range g.next {
		if state[n] == 0 {
			if c := visit(n); c != nil {
				return c
			}
		}
	}
	return nil
}

func smallestFirst(path []int, start int) []int {
	for i, n := range path {
		if n == start {
			path = path[i:]
			break
		}
	}
	least := 0
	for i, n := range path {
		if n < path[least] {
			least = i
		}
	}
	return append(append([]int(nil), path[least:]...), path[:least]...)
}
