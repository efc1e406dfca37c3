package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/format"
	"github.com/millstream/millstream/pipelines/reference"
)

func fmtCommand(s *streams) *cobra.Command {
	var write, check bool
	c := &cobra.Command{
		Use:   "fmt PATH…",
		Short: "Lay pipeline files out",
		Long: "fmt prints a pipeline file, or checks or writes several and every *.yaml of directories, in one layout: two spaces a level, expressions in block style. Comments and\n" +
			"the order of keys stay, and what a file means never changes. With -w the files are written, with --check only named: it then ends with 1\n" +
			"when a file would change. A file that is no YAML is an error, and the others are formatted all the same.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if write && check {
				return failWith(exitInvalid, fmt.Errorf("-w and --check exclude each other"))
			}
			return s.fmt(args, write, check)
		},
	}
	c.Flags().BoolVarP(&write, "write", "w", false, "write the files instead of printing them; names those that change")
	c.Flags().BoolVar(&check, "check", false, "change nothing; name the files that would change, and end with 1 when there is one")
	return c
}

func (s *streams) fmt(paths []string, write, check bool) error {
	findings := &diag.List{}
	files, err := pipelineFiles(paths, findings)
	if err != nil {
		return failWith(exitInvalid, err)
	}
	g, err := s.grammar()
	if err != nil {
		return failWith(exitFailed, err)
	}
	if len(files) > 1 && !write && !check {
		return failWith(exitInvalid, fmt.Errorf("%d files would be printed as one: write -w, --check, or one file", len(files)))
	}
	changed, refused := 0, false
	for _, file := range files {
		differs, err := s.fmtFile(file, g.File, findings, write, check)
		if err != nil {
			_, _ = fmt.Fprintf(s.err, "millstream: %s: %v\n", file, err)
			refused = true
		}
		if differs {
			changed++
		}
	}
	if err := s.complain(findings); err != nil {
		return err
	}
	switch {
	case refused:
		return failWith(exitInvalid, nil)
	case check && changed > 0:
		return failWith(exitFailed, nil)
	}
	return nil
}

// fmtFile lays one file out and tells whether that changes it. A file with findings is left alone.
func (s *streams) fmtFile(path string, grammar *reference.Type, findings *diag.List, write, check bool) (differs bool, err error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	out, found, err := format.Format(path, src, grammar)
	findings.Merge(found)
	if err != nil || out == nil {
		return false, err
	}
	differs = !bytes.Equal(src, out)
	if !write && !check {
		_, err = s.out.Write(out)
		return differs, err
	}
	if !differs {
		return false, nil
	}
	if _, err = fmt.Fprintln(s.out, path); err != nil || check {
		return true, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return true, err
	}
	return true, os.WriteFile(path, out, info.Mode().Perm()) //nolint:gosec // the file the user named
}
