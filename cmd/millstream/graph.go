package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines"
)

func graphCommand(s *streams) *cobra.Command {
	var flags loadFlags
	var format string
	c := &cobra.Command{
		Use:   "graph PATH…",
		Short: "Draw pipelines as Mermaid, DOT or JSON",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			draw, ok := map[string]func(io.Writer, []*graph) error{"mermaid": writeMermaid, "dot": writeDOT, "json": writeGraphJSON}[format]
			if !ok {
				return failWith(exitInvalid, fmt.Errorf("--format %s: write mermaid, dot or json", format))
			}
			programs, findings, err := s.load(args, &flags, true)
			if err != nil {
				return err
			}
			if err := s.complain(findings); err != nil {
				return err
			}
			graphs := make([]*graph, len(programs))
			for i, p := range programs {
				graphs[i] = graphOf(p)
			}
			return draw(s.out, graphs)
		},
	}
	flags.add(c)
	c.Flags().StringVar(&format, "format", "mermaid", "mermaid, dot or json")
	return c
}

// graph is a pipeline as nodes and edges; its JSON form is what other tools read.
type graph struct {
	Name  string      `json:"name"`
	Nodes []graphNode `json:"nodes"`
	Edges []graphEdge `json:"edges"`
}

type graphNode struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // source, node or sink
	Type string `json:"type"` // the connector or verb
}

type graphEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Label is a router's case, errors, or then.
	Label string `json:"label,omitempty"`
}

func graphOf(p *pipelines.Program) *graph {
	g := &graph{Name: p.Name, Nodes: []graphNode{}, Edges: []graphEdge{}}
	for i := range p.Sources {
		g.Nodes = append(g.Nodes, graphNode{p.Sources[i].Name, "source", p.Sources[i].Connector})
	}
	for i := range p.Nodes {
		g.Nodes = append(g.Nodes, graphNode{p.Nodes[i].Name, "node", p.Nodes[i].Verb})
	}
	for i := range p.Sinks {
		g.Nodes = append(g.Nodes, graphNode{p.Sinks[i].Name, "sink", p.Sinks[i].Connector})
	}
	for i := range p.Sources {
		s := &p.Sources[i]
		g.edges(p, s.Name, "", s.Out)
		g.failures(p, s.Name, s.Errors, s.OnError)
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		for port, edges := range n.Ports {
			label := ""
			if port < len(n.PortNames) {
				label = n.PortNames[port]
			}
			g.edges(p, n.Name, label, edges)
		}
		g.failures(p, n.Name, n.Errors, n.OnError)
	}
	for i := range p.Sinks {
		g.failures(p, p.Sinks[i].Name, p.Sinks[i].Errors, p.Sinks[i].OnError)
	}
	return g
}

func (g *graph) edges(p *pipelines.Program, from, label string, edges []pipelines.Edge) {
	for _, e := range edges {
		to := ""
		if e.Sink {
			to = p.Sinks[e.Index].Name
		} else {
			to = p.Nodes[e.Index].Name
		}
		g.Edges = append(g.Edges, graphEdge{from, to, label})
	}
}

func (g *graph) failures(p *pipelines.Program, from string, readers []pipelines.Edge, policy pipelines.Policy) {
	g.edges(p, from, "errors", readers)
	if policy.Then == pipelines.ThenSink && p.Sinks[policy.Sink].Name != from {
		g.Edges = append(g.Edges, graphEdge{from, p.Sinks[policy.Sink].Name, "then"})
	}
}

func writeGraphJSON(w io.Writer, graphs []*graph) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if len(graphs) == 1 {
		return enc.Encode(graphs[0])
	}
	return enc.Encode(graphs)
}

func writeMermaid(w io.Writer, graphs []*graph) error {
	var b strings.Builder
	for i, g := range graphs {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart LR\n", g.Name)
		ids := map[string]string{}
		for k, n := range g.Nodes {
			ids[n.Name] = fmt.Sprintf("n%d", k)
			open, shut := "[", "]"
			if n.Kind == "source" {
				open, shut = "([", "])"
			} else if n.Kind == "sink" {
				open, shut = "[(", ")]"
			}
			fmt.Fprintf(&b, "  n%d%s\"%s<br/>%s\"%s\n", k, open, n.Name, n.Type, shut)
		}
		for _, e := range g.Edges {
			arrow := "-->"
			if e.Label == "errors" || e.Label == "then" {
				arrow = "-.->"
			}
			label := ""
			if e.Label != "" {
				label = "|" + e.Label + "|"
			}
			fmt.Fprintf(&b, "  %s %s%s %s\n", ids[e.From], arrow, label, ids[e.To])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeDOT writes a digraph for each pipeline. Names and labels are of letters, digits, - and _, so that quotes are all they need.
func writeDOT(w io.Writer, graphs []*graph) error {
	var b strings.Builder
	for _, g := range graphs {
		fmt.Fprintf(&b, "digraph %q {\n  rankdir=LR\n", g.Name)
		shapes := map[string]string{"source": "oval", "node": "box", "sink": "cylinder"}
		for _, n := range g.Nodes {
			fmt.Fprintf(&b, "  %q [label=\"%s\\n%s\", shape=%s]\n", n.Name, n.Name, n.Type, shapes[n.Kind])
		}
		for _, e := range g.Edges {
			style := "solid"
			if e.Label == "errors" || e.Label == "then" {
				style = "dashed"
			}
			fmt.Fprintf(&b, "  %q -> %q [label=%q, style=%s]\n", e.From, e.To, e.Label, style)
		}
		b.WriteString("}\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
