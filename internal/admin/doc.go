// Package admin lets an operator ask a running process what it does and tell it to reload: HTTP over a unix socket in the state directory,
// which only the process's own user can reach, and on the loopback interface when that is asked for. The client side for the command line
// is here too.
//
// It shows numbers, names and errors with their secrets masked; it takes no pipelines, and no messages pass through it.
package admin
