package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/mapping"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// explained is the JSON form of explain.
type explained struct {
	Pipeline string            `json:"pipeline"`
	Promises []explainedBranch `json:"promises"`
}

type explainedBranch struct {
	Source   string          `json:"source"`
	Sink     string          `json:"sink"`
	Paths    [][]string      `json:"paths"`
	Delivery string          `json:"delivery"`
	Order    string          `json:"order"`
	Repeats  []string        `json:"repeats"`
	Losses   []string        `json:"losses"`
	Mapping  []mapping.Entry `json:"mapping"`
	Refused  []string        `json:"refused"`
}

func explainCommand(s *streams) *cobra.Command {
	var flags loadFlags
	var format string
	c := &cobra.Command{
		Use:   "explain PATH…",
		Short: "Say what pipelines promise: delivery, order, repeats, losses",
		Long: "explain says for each source and sink that are joined what is promised between them, and what becomes of each part of a message whose\n" +
			"protocol differs: exact, renamed, coerced, folded into a header, emulated, dropped or refused. It ends with 1 when a part would be\n" +
			"dropped that allow_loss does not name.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return failWith(exitInvalid, fmt.Errorf("--format %s: write text or json", format))
			}
			programs, findings, err := s.load(args, &flags, true)
			if err != nil {
				return err
			}
			if findings.HasErrors() {
				return s.complain(findings)
			}
			return s.explain(programs, format)
		},
	}
	flags.add(c)
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

func (s *streams) explain(programs []*pipelines.Program, format string) error {
	all, refused := []explained{}, false
	for _, p := range programs {
		words, err := readWords(p.Path)
		if err != nil {
			return failWith(exitFailed, err)
		}
		promises := mapping.Explain(p, words.allowLoss, words.unmatched)
		one := explained{Pipeline: p.Name, Promises: []explainedBranch{}}
		for i := range promises {
			refused = refused || len(promises[i].Refused) > 0
			one.Promises = append(one.Promises, branchOf(&promises[i]))
		}
		all = append(all, one)
		if format == "text" {
			s.printPromises(p.Name, promises)
		}
	}
	if format == "json" {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(all); err != nil {
			return failWith(exitFailed, err)
		}
	}
	if refused {
		return failWith(exitFailed, nil)
	}
	return nil
}

func branchOf(p *mapping.Promise) explainedBranch {
	some := func(list []string) []string { return append([]string{}, list...) }
	return explainedBranch{
		Source: p.Source, Sink: p.Sink, Paths: p.Paths, Delivery: p.Delivery, Order: p.Order, Repeats: some(p.Repeats),
		Losses: some(p.Losses), Mapping: append([]mapping.Entry{}, p.Mapping...), Refused: some(p.Refused),
	}
}

func (s *streams) printPromises(pipeline string, promises []mapping.Promise) {
	var b strings.Builder
	for i := range promises {
		p := &promises[i]
		fmt.Fprintf(&b, "%s: from %s to %s\n", pipeline, p.Source, p.Sink)
		for _, path := range p.Paths {
			fmt.Fprintf(&b, "  path      %s\n", mapping.Arrow(path))
		}
		if p.More {
			b.WriteString("  path      and more than are shown\n")
		}
		fmt.Fprintf(&b, "  delivery  %s\n  order     %s\n", p.Delivery, p.Order)
		for _, r := range p.Repeats {
			fmt.Fprintf(&b, "  repeats   %s\n", r)
		}
		for _, l := range p.Losses {
			fmt.Fprintf(&b, "  losses    %s\n", l)
		}
		if p.Unknown {
			b.WriteString("  mapping   not known for these connectors\n")
		}
		for _, e := range p.Mapping {
			line := fmt.Sprintf("  mapping   %-16s  %s", e.Part, e.Class)
			if e.Note != "" {
				line += " (" + e.Note + ")"
			}
			b.WriteString(line + "\n")
		}
		if len(p.Refused) > 0 {
			fmt.Fprintf(&b, "  lost      what a message has of these parts; allow_loss: [%s] says that it may be\n", strings.Join(p.Refused, ", "))
		}
		b.WriteString("\n")
	}
	_, _ = fmt.Fprint(s.out, b.String())
}

// words are what explain needs of a file beside its program.
type words struct {
	allowLoss []string
	// unmatched are the routers with unmatched: drop.
	unmatched []string
}

// readWords reads a file that has been compiled.
func readWords(path string) (words, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return words{}, err
	}
	findings := &diag.List{} // the file has been found to be valid
	doc := yamldoc.Parse(path, src, findings)
	if doc == nil {
		return words{}, fmt.Errorf("%s changed while it was read", path)
	}
	var w words
	if list, ok := doc.Root().Lookup("allow_loss"); ok {
		for _, item := range list.Items() {
			w.allowLoss = append(w.allowLoss, item.Scalar().Text)
		}
	}
	if nodes, ok := doc.Root().Lookup("nodes"); ok {
		for _, e := range nodes.Entries() {
			if _, ok := e.Value.Lookup("unmatched"); ok {
				w.unmatched = append(w.unmatched, e.Key.Text)
			}
		}
	}
	return w, nil
}
