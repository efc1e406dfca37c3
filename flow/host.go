package flow

import (
	"io"
	"log/slog"
)

// Host is what the engine lends to a source or sink while it is open.
type Host interface {
	// Pipeline, Name and Instance tell the component who it is: stable client and member names are made of them.
	Pipeline() string
	Name() string
	Instance() string
	// Logger logs with the pipeline and node filled in. Payloads and configuration values never above debug.
	Logger() *slog.Logger
	// Limits bound what a source may read ahead.
	Limits() Limits
	// StateDir is where the component may keep files; it makes the directory before use.
	StateDir() string
	// Share opens a resource once for all components with an equal key, and counts its users; release closes it after the last. The
	// key must hold everything that makes two resources differ, and is never logged.
	Share(key string, open func() (io.Closer, error)) (resource io.Closer, release func() error, err error)
}

// Limits bound a pipeline.
type Limits struct {
	// MaxMessage is the largest payload in bytes.
	MaxMessage int64
	// InFlight is how many records may be unsettled, InFlightBytes how many bytes of them.
	InFlight      int
	InFlightBytes int64
}

// BatchRecords is how many records a source should put into a batch at most, so that a lane can keep several in flight.
func (l Limits) BatchRecords() int { return max(1, min(MaxBatchRecords, l.InFlight/4)) }

// BatchBytes is the same in bytes.
func (l Limits) BatchBytes() int64 { return max(1, min(MaxBatchBytes, l.InFlightBytes/4)) }
