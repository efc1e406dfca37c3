// Command custombuild is millstream's engine with one more verb, as docs/custom-build.md explains it. A test builds and runs it.
package main

import (
	"context"
	"log"
	"os"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

func main() {
	registry := &config.Registry{Nodes: append(nodes.Types(), shoutType()), Connectors: connectors.Types(os.Stdin, os.Stdout)}
	program, findings := pipelines.Load(os.Args[1], pipelines.Options{Registry: registry, Env: pipelines.EnvFunc(os.LookupEnv)})
	if err := diag.WriteText(os.Stderr, findings); err != nil || program == nil {
		os.Exit(2)
	}
	pipeline, err := engine.New(engine.Options{}).Start(context.Background(), program)
	if err != nil {
		log.Fatal(err)
	}
	<-pipeline.Done()
	if pipeline.Err() != nil {
		os.Exit(1)
	}
}
