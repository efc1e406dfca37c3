package main

import (
	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines/reference"
)

func schemaCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipeline files, for editors",
		Long: "schema prints a JSON Schema (draft-07) of pipeline files. An editor that reads YAML completes keys and shows their meaning with it:\n" +
			"save it as a file and name that in the editor's settings, or in the first line of a pipeline file.",
		Example: "  millstream schema > millstream.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			g, err := s.grammar()
			if err != nil {
				return failWith(exitFailed, err)
			}
			text, err := g.Schema()
			if err != nil {
				return failWith(exitFailed, err)
			}
			_, err = s.out.Write(text)
			return err
		},
	}
}

// grammar describes what this binary's pipeline files may hold.
func (s *streams) grammar() (*reference.Grammar, error) {
	comments, err := reference.Collected()
	if err != nil {
		return nil, err
	}
	return reference.NewGrammar(s.registry(), comments), nil
}
