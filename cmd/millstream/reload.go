package main

import (
	"github.com/spf13/cobra"
)

func reloadCommand(s *streams) *cobra.Command {
	var f processFlags
	c := &cobra.Command{
		Use:   "reload",
		Short: "Let a running process take over its changed files",
		Long: "reload lets the process that has its state in --state read its files again and take over what has changed, and prints the receipt when\n" +
			"that is done. It ends with 0 when every pipeline runs as its file says, with 2 when a file has errors, and with 1 when a pipeline could\n" +
			"not be exchanged or started; what ran before then runs on.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := f.find()
			if err != nil {
				return err
			}
			receipt, raw, err := client.Reload(c.Context())
			if err != nil {
				return failWith(exitFailed, err)
			}
			if f.format == "json" {
				_, err = s.out.Write(raw)
			} else {
				err = printAttempt(s.out, &receipt)
			}
			if err != nil {
				return failWith(exitFailed, err)
			}
			if code := attemptCode(&receipt); code != exitFine {
				return failWith(code, nil)
			}
			return nil
		},
	}
	f.add(c)
	f.addFormat(c)
	return c
}
