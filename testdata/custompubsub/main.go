// Command custompubsub is millstream's engine with one more connector, made of a watermill pub/sub, as docs/watermill.md explains it. A
// test builds and runs it.
package main

import (
	"context"
	"log"
	"os"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

func main() {
	lines := watermill.Type(watermill.Options{
		Name: "folder", Doc: "A file for each message, in a folder for each topic.",
		Subscriber: func(context.Context, flow.Host) (message.Subscriber, error) { return newFolder("messages"), nil },
		Publisher:  func(context.Context, flow.Host) (message.Publisher, error) { return newFolder("messages"), nil },
	})
	registry := &config.Registry{Nodes: nodes.Types(), Connectors: append(connectors.Types(os.Stdin, os.Stdout), lines)}
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
		log.Fatal(pipeline.Err())
	}
}
