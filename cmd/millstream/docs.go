package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/reference"
)

// allCodes is the name under which docs lists the error codes.
const allCodes = "codes"

func docsCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "docs NAME",
		Short: "Explain a verb, connector, codec, function, code of a finding or error code",
		Long: "docs prints what the reference says of a verb, a connector, a codec, a function, or the code in the brackets of a finding, with examples;\n" +
			"and of the code of an error, as logs and dead letters carry it: what it means and what to do. docs codes lists those.\n" +
			"A name that means several things gets all of them.",
		Example: "  millstream docs filter\n  millstream docs kafka\n  millstream docs sha256\n  millstream docs unknown-name\n  millstream docs unroutable",
		Args:    oneArgument("the name of a verb, connector, codec or function, or a code, such as millstream docs filter; millstream list shows what there is"),
		RunE: func(_ *cobra.Command, args []string) error {
			g, err := s.grammar()
			if err != nil {
				return failWith(exitFailed, err)
			}
			name := strings.Trim(args[0], "[]")
			pages := s.pagesOf(g, name)
			if len(pages) == 0 {
				return failWith(exitInvalid, s.unknownPage(g, name))
			}
			_, err = fmt.Fprint(s.out, strings.Join(pages, "\n"))
			return err
		},
	}
}

func (s *streams) pagesOf(g *reference.Grammar, name string) []string {
	var pages []string
	for i := range g.Verbs {
		if g.Verbs[i].Name == name {
			pages = append(pages, g.VerbPage(&g.Verbs[i]))
		}
	}
	for i := range g.Connectors {
		if g.Connectors[i].Name == name {
			pages = append(pages, g.ConnectorPage(&g.Connectors[i]))
		}
	}
	for i := range g.Codecs {
		if g.Codecs[i].Name == name {
			pages = append(pages, g.CodecPage(&g.Codecs[i]))
		}
	}
	for _, f := range expression.Functions() {
		if f.Name == name {
			pages = append(pages, reference.FunctionPage(&f))
		}
	}
	for _, f := range reference.Predicates() {
		if f.Name == name {
			pages = append(pages, reference.PredicatePage(&f))
		}
	}
	for _, c := range diag.Codes() {
		if string(c.Code) == name {
			pages = append(pages, reference.CodePage(c, s.registry()))
		}
	}
	for _, f := range reference.Failures() {
		if string(f.Code) == name {
			pages = append(pages, reference.FailurePage(&f))
		}
	}
	if name == allCodes {
		pages = append(pages, reference.FailuresPage())
	}
	return pages
}

func (s *streams) unknownPage(g *reference.Grammar, name string) error {
	var names []string
	for _, l := range everything(g) {
		names = append(names, l.Name)
	}
	for _, c := range diag.Codes() {
		names = append(names, string(c.Code))
	}
	for _, f := range reference.Failures() {
		names = append(names, string(f.Code))
	}
	if near := diag.Suggest(name, names); near != "" {
		return fmt.Errorf("nothing is called %q; did you mean %q", name, near)
	}
	return fmt.Errorf("nothing is called %q; millstream list shows what there is", name)
}
