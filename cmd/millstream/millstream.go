package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines/config"
)

// streams are the process's own, injected for tests.
type streams struct {
	in       io.Reader
	out, err io.Writer

	once  sync.Once
	types *config.Registry
}

// registry lists what this binary can do. A custom build is a main with another list. It is made once: what is loaded later must meet what
// runs, in the topics that the process keeps.
func (s *streams) registry() *config.Registry {
	s.once.Do(func() { s.types = &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(s.in, s.out)} })
	return s.types
}

// run executes one command line and returns the exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	s := &streams{in: in, out: out, err: errOut}
	root := &cobra.Command{
		Use:   "millstream",
		Short: "Let messages flow between brokers",
		Long: "millstream reads pipeline files and lets messages flow between brokers, files and standard streams:\n" +
			"filtered, transformed and routed by expressions, at least once, in order per key.",
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetArgs(args)
	root.SetVersionTemplate("millstream {{.Version}}\n")
	root.AddCommand(runCommand(s), validateCommand(s), testCommand(s), graphCommand(s), versionCommand(s),
		evalCommand(s), schemaCommand(s), fmtCommand(s), listCommand(s),
		docsCommand(s), newCommand(s), planCommand(s), explainCommand(s), reloadCommand(s), statusCommand(s),
	)
	err := root.Execute()
	if err != nil && !reported(err) {
		_, _ = fmt.Fprintf(errOut, "millstream: %v\n", err)
	}
	return exitCode(err)
}
