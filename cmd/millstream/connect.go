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
		for _, u := range e.TryConnect(within, p) {
			f := flow.AsError(u.Err, flow.Transient, flow.CodeUnavailable)
			findings.Add(p.FindingAt(u.Part, diag.NoConnection, p.Mask(u.Err.Error())+" ("+f.Class.String()+", "+string(f.Code)+")", whatToDo(f.Code)))
		}
		cancel()
	}
}

// whatToDo is the hint for a part that cannot connect.
func whatToDo(code flow.Code) string {
	return map[flow.Code]string{
		flow.CodeMissing:     "create what is missing, or correct its name",
		flow.CodeAuth:        "check the credentials, the certificates, and what they permit",
		flow.CodeUnavailable: "check the address, and whether a server runs there",
	}[code]
}
