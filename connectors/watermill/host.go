package watermill

import (
	"io"
	"log/slog"
	"os"

	"github.com/millstream/millstream/flow"
)

// Host is a flow.Host for a source or sink that no engine runs. It lends nothing to others and keeps no state.
type Host struct {
	// Title is the name that clients show to their broker.
	Title string
	// Log is where the source or sink logs; slog.Default() when nil.
	Log *slog.Logger
	// Bounds are how much may be read ahead; those of a pipeline without limits when zero.
	Bounds flow.Limits
}

// Pipeline implements flow.Host.
func (h *Host) Pipeline() string { return h.Title }

// Name implements flow.Host.
func (*Host) Name() string { return "watermill" }

// Instance implements flow.Host.
func (*Host) Instance() string {
	name, _ := os.Hostname()
	return name
}

// Logger implements flow.Host.
func (h *Host) Logger() *slog.Logger {
	if h.Log == nil {
		return slog.Default()
	}
	return h.Log
}

// Limits implements flow.Host.
func (h *Host) Limits() flow.Limits {
	if h.Bounds == (flow.Limits{}) {
		return flow.Limits{MaxMessage: 1 << 20, InFlight: 4096, InFlightBytes: 32 << 20}
	}
	return h.Bounds
}

// StateDir implements flow.Host.
func (*Host) StateDir() string { return os.TempDir() }

// Share implements flow.Host: nobody else is there to share with.
func (*Host) Share(_ string, open func() (io.Closer, error)) (io.Closer, func() error, error) {
	c, err := open()
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

var _ flow.Host = (*Host)(nil)
