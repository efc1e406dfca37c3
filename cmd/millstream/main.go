// Command millstream runs pipelines of messages between brokers, files and standard streams. This package is the command line: one
// file per command, the exit codes in exit.go, and the list of what is built in under millstream.go.
package main

import (
	"os"
)

// version is set when the binary is linked.
var version = "devel"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
