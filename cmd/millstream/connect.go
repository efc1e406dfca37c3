package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
)

// connectTimeout bounds how long the connections of one pipeline may take to be tried.
const connectTimeout = 30 * time.Second

// tryConnections tries what pipelines would connect to, one pipeline after the other, and adds a finding for each part that could not.
func tryConnections(ctx context.Context, programs []*pipelines.Program, findings *diag.List) {
	e := engine.New(engine.Options{Logger: slog.New(slog.DiscardHandler)})
	for _, p := range programs {
		within, cancel := context.WithTimeout(ctx, connectTimeout)
		for _, err := range e.TryConnect(within, p) {
			f := flow.AsError(err, flow.Transient, flow.CodeUnavailable)
			findings.Add(p.Finding(diag.NoConnection, p.Mask(err.Error())+" ("+f.Class.String()+", "+string(f.Code)+")", ""))
		}
		cancel()
	}
}
