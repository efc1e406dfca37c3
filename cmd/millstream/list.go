package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/reference"
)

// listed is one line of list.
type listed struct {
	Kind string `json:"kind"` // verb, connector, codec or function
	Name string `json:"name"`
	// Sides are what a connector can be: source, sink.
	Sides []string `json:"sides,omitempty"`
	// Signatures are those of a function.
	Signatures []string `json:"signatures,omitempty"`
	Doc        string   `json:"doc"`
}

func listCommand(s *streams) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the verbs, connectors, codecs and functions",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			g, err := s.grammar()
			if err != nil {
				return failWith(exitFailed, err)
			}
			switch format {
			case "json":
				enc := json.NewEncoder(s.out)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				return enc.Encode(everything(g))
			case "text":
				return s.printList(everything(g))
			}
			return failWith(exitInvalid, fmt.Errorf("--format %s: write text or json", format))
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

func everything(g *reference.Grammar) []listed {
	var all []listed
	for i := range g.Verbs {
		all = append(all, listed{Kind: "verb", Name: g.Verbs[i].Name, Doc: g.Verbs[i].Doc})
	}
	for i := range g.Connectors {
		c := &g.Connectors[i]
		l := listed{Kind: "connector", Name: c.Name, Doc: c.Doc}
		if c.Source != nil {
			l.Sides = append(l.Sides, "source")
		}
		if c.Sink != nil {
			l.Sides = append(l.Sides, "sink")
		}
		all = append(all, l)
	}
	for i := range g.Codecs {
		all = append(all, listed{Kind: "codec", Name: g.Codecs[i].Name, Doc: g.Codecs[i].Doc})
	}
	for _, f := range expression.Functions() {
		all = append(all, listed{Kind: "function", Name: f.Name, Signatures: f.Signature(), Doc: f.Doc})
	}
	for _, f := range reference.Predicates() {
		all = append(all, listed{Kind: "function", Name: f.Name, Signatures: []string{f.Signature}, Doc: f.Doc})
	}
	return all
}

func (s *streams) printList(all []listed) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	kind := ""
	for _, l := range all {
		if l.Kind != kind {
			if kind != "" {
				_, _ = fmt.Fprintln(w)
			}
			kind = l.Kind
			_, _ = fmt.Fprintf(w, "%ss\n", kind)
		}
		_, _ = fmt.Fprintf(w, "  %s\t%s\n", l.Name, l.Doc)
	}
	return w.Flush()
}
