// Command measure runs a program and writes what it cost to file descriptor 3, as one JSON object. The program has the streams of
// measure, and gets the signals that measure gets.
//
// It stands between the benchmarks and the programs because the kernel counts the memory of the process that starts a program into the
// peak of that program: the peak is true only as far as the starting process is smaller.
package main

import (
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// cost is what a run took.
type cost struct {
	CPU  time.Duration // user and system
	Wall time.Duration
	Peak int64 // resident memory in bytes
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("measure: ")
	if len(os.Args) < 2 {
		log.Fatal("measure PROGRAM [ARGUMENT…]")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	program := exec.Command(os.Args[1], os.Args[2:]...) //nolint:gosec,noctx // running what it is told is what it does
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	began := time.Now()
	if err := program.Start(); err != nil {
		log.Fatal(err)
	}
	go func() {
		for s := range signals {
			_ = program.Process.Signal(s) // it may have ended
		}
	}()
	err := program.Wait()
	wall := time.Since(began)
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		log.Fatal(err)
	}
	state := program.ProcessState
	c := cost{CPU: state.UserTime() + state.SystemTime(), Wall: wall}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		c.Peak = usage.Maxrss << 10
	}
	if err := json.NewEncoder(os.NewFile(3, "costs")).Encode(c); err != nil {
		log.Fatal(err)
	}
	if code := state.ExitCode(); code != 0 {
		log.Fatal(state)
	}
}
