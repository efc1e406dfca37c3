package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines"
)

func planCommand(s *streams) *cobra.Command {
	var flags loadFlags
	var format string
	c := &cobra.Command{
		Use:   "plan OLD NEW",
		Short: "Show what a reload would do",
		Long: "plan compares two files, or two directories of files, and says for each pipeline what a reload from the old to the new would do:\n" +
			"keep it, start it, stop it, swap what lies between its sources and sinks, or replace it.",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return failWith(exitInvalid, fmt.Errorf("--format %s: write text or json", format))
			}
			var sides [2][]*pipelines.Program
			for i, path := range args {
				programs, findings, err := s.load([]string{path}, &flags, true)
				if err != nil {
					return err
				}
				if findings.HasErrors() {
					return s.complain(findings)
				}
				sides[i] = programs
			}
			return s.plan(pipelines.Plan(sides[0], sides[1]), format)
		},
	}
	flags.add(c)
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

func (s *streams) plan(steps []pipelines.PlanStep, format string) error {
	if format == "json" {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		return enc.Encode(steps)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, step := range steps {
		_, _ = fmt.Fprintf(w, "%s\t%s", step.Action, step.Pipeline)
		if len(step.Reasons) > 0 {
			_, _ = fmt.Fprintf(w, "\t%s", strings.Join(step.Reasons, ", "))
		}
		_, _ = fmt.Fprintln(w)
	}
	return w.Flush()
}
