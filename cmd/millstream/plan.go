package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines"
)

func planCommand(s *streams) *cobra.Command {
	var flags loadFlags
	var process processFlags
	c := &cobra.Command{
		Use:   "plan OLD NEW | plan PATH",
		Short: "Show what a reload would do",
		Long: "plan compares two files, or two directories of files, and says for each pipeline what a reload from the old to the new would do:\n" +
			"keep it, start it, stop it, swap what lies between its sources and sinks, or replace it. With one path it compares with what the process\n" +
			"runs that has its state in --state, and with the variables of that process.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if process.format != "text" && process.format != "json" {
				return failWith(exitInvalid, fmt.Errorf("--format %s: write text or json", process.format))
			}
			if len(args) == 1 {
				return s.planRunning(c.Context(), args[0], &process)
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
			return s.plan(pipelines.Plan(sides[0], sides[1]), process.format)
		},
	}
	flags.add(c)
	process.add(c)
	process.addFormat(c)
	return c
}

// planRunning asks a running process what it would do with a path. Files with errors are told, and the plan is as if they had not changed.
func (s *streams) planRunning(ctx context.Context, path string, process *processFlags) error {
	client, err := process.find()
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return failWith(exitInvalid, err)
	}
	p, err := client.Plan(ctx, []string{abs})
	switch {
	case err != nil:
		return failWith(exitFailed, err)
	case p.Error != "":
		return failWith(exitInvalid, errors.New(p.Error))
	}
	if _, err := io.WriteString(s.err, p.Report); err != nil {
		return failWith(exitFailed, err)
	}
	if err := s.plan(p.Steps, process.format); err != nil {
		return failWith(exitFailed, err)
	}
	if len(p.Broken) > 0 {
		return failWith(exitInvalid, nil)
	}
	return nil
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
