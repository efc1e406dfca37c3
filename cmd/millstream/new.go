package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

func newCommand(s *streams) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "new SOURCE/VERB,VERB/SINK",
		Short: "Write the beginning of a pipeline file",
		Long: "new prints a pipeline file that reads from one connector, does what the verbs say and writes to another. It validates as it is: change\n" +
			"what it reads, does and writes. Between the slashes stand any number of verbs, or none.",
		Example: "  millstream new stdin/filter,transform/stdout > first.yaml\n  millstream new kafka//file",
		Args:    oneArgument("source/verb,verb/sink, such as millstream new stdin/filter/stdout"),
		RunE: func(_ *cobra.Command, args []string) error {
			parts := strings.Split(args[0], "/")
			if len(parts) != 3 {
				return failWith(exitInvalid, fmt.Errorf("%q: write it as source/verb,verb/sink, such as stdin/filter/stdout", args[0]))
			}
			var verbs []string
			if parts[1] != "" {
				verbs = strings.Split(parts[1], ",")
			}
			if name == "" {
				name = parts[0] + "-to-" + parts[2]
			}
			g, err := s.grammar()
			if err != nil {
				return failWith(exitFailed, err)
			}
			text, err := g.Scaffold(name, parts[0], verbs, parts[2])
			if err != nil {
				return failWith(exitInvalid, fmt.Errorf("%w; millstream list shows what there is", err))
			}
			_, err = fmt.Fprint(s.out, s.allowing(text))
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "the pipeline's name (default: SOURCE-to-SINK)")
	return c
}

// allowing adds to a new file that headers may get lost, where the sink has no place for those of the source.
func (s *streams) allowing(text string) string {
	_, findings := pipelines.Compile("new.yaml", []byte(text), pipelines.Options{Registry: s.registry()})
	for _, f := range findings.All() {
		if f.Code == diag.LostPart {
			return text + "allow_loss: [headers]\n"
		}
	}
	return text
}
