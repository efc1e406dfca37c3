package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// The exit codes. Every command uses these and no others.
const (
	exitFine        = 0
	exitFailed      = 1   // failed while running
	exitInvalid     = 2   // wrong usage or an invalid pipeline
	exitDeadline    = 3   // the drain deadline passed
	exitState       = 4   // state locked or corrupt
	exitInterrupted = 130 // second interrupt
)

// exitError carries an exit code through cobra. A nil err has been reported already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return "exit"
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// reported tells that an error has been shown already.
func reported(err error) bool {
	var e *exitError
	return errors.As(err, &e) && e.err == nil
}

func failWith(code int, err error) error { return &exitError{code, err} }

func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	if err != nil {
		return exitInvalid // what cobra itself refuses is wrong usage
	}
	return exitFine
}

// oneArgument takes one argument, and says what it is when there is none or there are more.
func oneArgument(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return failWith(exitInvalid, fmt.Errorf("%s takes one argument and got %d: write %s", c.Name(), len(args), what))
	}
}
