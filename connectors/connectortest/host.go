package connectortest

import (
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// DefaultLimits are those of a pipeline file that sets none.
func DefaultLimits() flow.Limits {
	return flow.Limits{MaxMessage: 1 << 20, InFlight: 4096, InFlightBytes: 32 << 20}
}

// Host is a flow.Host for tests. Several components may use one, as those of a pipeline do.
type Host struct {
	PipelineName, ComponentName string
	Bounds                      flow.Limits
	State                       string
	// Log takes the component's log; nil discards it.
	Log *slog.Logger

	mu     sync.Mutex
	shared map[string]*sharedResource
}

type sharedResource struct {
	io.Closer
	users int
}

// NewHost makes a host with the default limits and a state directory that the test removes.
func NewHost(t testing.TB) *Host {
	return &Host{PipelineName: "pipeline", ComponentName: "component", Bounds: DefaultLimits(), State: t.TempDir()}
}

// Pipeline implements flow.Host.
func (h *Host) Pipeline() string { return h.PipelineName }

// Name implements flow.Host.
func (h *Host) Name() string { return h.ComponentName }

// Instance implements flow.Host.
func (h *Host) Instance() string { return "test" }

// Logger implements flow.Host.
func (h *Host) Logger() *slog.Logger {
	if h.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Log
}

// Limits implements flow.Host.
func (h *Host) Limits() flow.Limits { return h.Bounds }

// StateDir implements flow.Host.
func (h *Host) StateDir() string { return h.State }

// Share implements flow.Host.
func (h *Host) Share(key string, open func() (io.Closer, error)) (io.Closer, func() error, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.shared[key]
	if !ok {
		c, err := open()
		if err != nil {
			return nil, nil, err
		}
		if h.shared == nil {
			h.shared = map[string]*sharedResource{}
		}
		r = &sharedResource{Closer: c}
		h.shared[key] = r
	}
	r.users++
	var once sync.Once
	return r.Closer, func() (err error) {
		once.Do(func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if r.users--; r.users == 0 {
				delete(h.shared, key)
				err = r.Close()
			}
		})
		return err
	}, nil
}

// Shared counts the resources that are open; 0 when every component has released what it shared.
func (h *Host) Shared() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.shared)
}

// Build decodes the options of a connector as a file has them and hands them to build with a builder. The findings come back as
// "code: message" in the order of the file; the builder's Scope.Paths is frozen afterwards.
func Build(t testing.TB, text string, into any, build func(b *config.Builder)) (b *config.Builder, findings []string) {
	t.Helper()
	list := &diag.List{}
	doc := yamldoc.Parse("test.yaml", []byte(text), list)
	b = &config.Builder{Findings: list, Name: "component", Pipeline: "pipeline", Scope: expression.Scope{Paths: document.NewPaths()}}
	if doc != nil {
		b.Value = doc.Root()
		if yamldoc.Decode(b.Value, into, &yamldoc.Context{Findings: list}) {
			build(b)
		}
	}
	for _, f := range list.All() {
		findings = append(findings, string(f.Code)+": "+f.Message)
	}
	b.Scope.Paths.Freeze()
	return b, findings
}
