package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/engine/trial"
	"github.com/millstream/millstream/internal/terminal"
	"github.com/millstream/millstream/pipelines"
)

func testCommand(s *streams) *cobra.Command {
	var flags loadFlags
	var format string
	c := &cobra.Command{
		Use:   "test PATH…",
		Short: "Run the tests that pipeline files carry",
		Long: "test runs the tests of pipeline files through the whole graph, with sources and sinks in memory and no network.\n" +
			"It ends with 0 when all pass, with 1 when one fails, with 2 when a file is invalid; those of the other files are run all the same.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return failWith(exitInvalid, fmt.Errorf("--format %s: write text or json", format))
			}
			programs, findings, err := s.load(args, &flags, true)
			if err != nil {
				return err
			}
			invalid := s.complain(findings)
			if invalid != nil && len(programs) == 0 {
				return invalid
			}
			return cmp.Or(invalid, s.test(c.Context(), programs, format))
		},
	}
	flags.add(c)
	c.Flags().StringVar(&format, "format", "text", "how results are printed: text or json")
	return c
}

func (s *streams) test(ctx context.Context, programs []*pipelines.Program, format string) error {
	results, failed, start := []trial.Result{}, 0, time.Now()
	for _, p := range programs {
		for i := range p.Tests {
			r := trial.Run(ctx, p, &p.Tests[i])
			results = append(results, r)
			if !r.Passed {
				failed++
			}
			if format == "text" {
				s.printResult(&r)
			}
		}
	}
	if format == "json" {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(results); err != nil {
			return failWith(exitFailed, err)
		}
	} else {
		_, _ = fmt.Fprintf(s.out, "%d passed, %d failed in %s\n", len(results)-failed, failed, time.Since(start).Round(time.Millisecond))
	}
	if failed > 0 {
		return failWith(exitFailed, nil)
	}
	return nil
}

func (s *streams) printResult(r *trial.Result) {
	word := "ok  "
	if !r.Passed {
		word = "FAIL"
	}
	_, _ = fmt.Fprintf(s.out, "%s %s:%d %s: %s\n", word, r.Path, r.Line, r.Pipeline, r.Test)
	for _, d := range r.Differences {
		for line := range strings.Lines(d) {
			_, _ = fmt.Fprintf(s.out, "       %s\n", terminal.Text(strings.TrimSuffix(line, "\n")))
		}
	}
}
