package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines/diag"
)

func validateCommand(s *streams) *cobra.Command {
	var flags loadFlags
	var dial bool
	c := &cobra.Command{
		Use:   "validate PATH…",
		Short: "Find every mistake in pipeline files, and with --connect in what they connect to",
		Long: "validate checks pipeline files, and every *.yaml of directories, and prints all findings in one run. With --connect it\n" +
			"also dials, logs in, and looks whether queues and topics are there, where the files have no error; it reads and changes nothing.\n" +
			"So it cannot know what shows in the first message alone: whether the user may read from a queue or write to an exchange or\n" +
			"topic, and whether a binding leads from an exchange to a queue. What another pipeline would declare is missing until that has run.\n" +
			"It ends with 0 when there is no error, with 2 otherwise.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			programs, findings, err := s.load(args, &flags, false)
			if err != nil {
				return err
			}
			if dial && !findings.HasErrors() {
				tryConnections(c.Context(), programs, findings)
			}
			if err := s.report(findings, flags.format); err != nil {
				return err
			}
			if flags.format == "text" {
				for _, p := range programs {
					_, _ = fmt.Fprintf(s.out, "%s: pipeline %q is valid\n", p.Path, p.Name)
				}
			}
			return nil
		},
	}
	flags.add(c)
	flags.addFormat(c)
	c.Flags().BoolVar(&dial, "connect", false, "also try the connections")
	return c
}

// complain prints findings on stderr, for commands whose result is something else.
func (s *streams) complain(findings *diag.List) error {
	onErr := &streams{in: s.in, out: s.err, err: s.err}
	return onErr.report(findings, "text")
}

// report prints findings, on stdout as they are the result, and turns errors among them into the exit code.
func (s *streams) report(findings *diag.List, format string) error {
	switch diag.Format(format) {
	case diag.FormatText, diag.FormatJSON, diag.FormatGitHub:
	default:
		return failWith(exitInvalid, fmt.Errorf("--format %s: write text, json or github", format))
	}
	if err := diag.Write(s.out, diag.Format(format), findings); err != nil {
		return failWith(exitFailed, err)
	}
	if findings.HasErrors() {
		return failWith(exitInvalid, nil)
	}
	return nil
}
