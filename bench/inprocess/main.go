// Command inprocess runs one pipeline file as millstream run does, and writes a profile of the processor: what the released binary is
// not built to do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

func main() {
	log.SetFlags(0)
	cpu := flag.String("cpu", "", "file for the profile of the processor")
	memory := flag.String("memory", "", "file for the profile of what was allocated")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("inprocess [-cpu FILE] [-memory FILE] PIPELINE")
	}
	if err := profiled(*cpu, *memory, func() error { return run(flag.Arg(0)) }); err != nil {
		log.Fatal(err)
	}
}

// profiled calls f and writes the profiles that have a file.
func profiled(cpu, memory string, f func() error) error {
	if cpu != "" {
		file, err := os.Create(cpu)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := f(); err != nil || memory == "" {
		return err
	}
	file, err := os.Create(memory)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}

type environment struct{}

// Lookup implements yamldoc.Env.
func (environment) Lookup(name string) (string, bool) { return os.LookupEnv(name) }

// run runs the pipeline until it ends or a signal comes.
func run(path string) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	prog, findings := pipelines.Load(path, pipelines.Options{
		Registry: &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(os.Stdin, os.Stdout)},
		Env:      environment{},
	})
	if prog == nil {
		return fmt.Errorf("%s is no pipeline: see millstream validate (%d findings)", path, findings.Len())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p, err := engine.New(engine.Options{}).Start(ctx, prog)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return p.Stop(context.Background())
	}
	return p.Err()
}
