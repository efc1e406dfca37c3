package engine

import (
	"context"
	"errors"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// sinkRun is one open sink of a pipeline. Revisions that say the same of it share it; what they say about errors and encoding is
// theirs.
type sinkRun struct {
	p         *pipeline
	name      string
	connector string
	// number tells the sinks of a pipeline that are open at a time apart.
	number   int
	sink     flow.Sink
	host     *host
	closed   bool
	optional *optionalSink
	health   health
	count    *sinkCounter

	// hard ends when what an optional sink has queued is given up.
	hard     context.Context
	hardStop context.CancelFunc
}

func newSinkRun(p *pipeline, spec *pipelines.Sink, number int) *sinkRun {
	return &sinkRun{p: p, name: spec.Name, connector: spec.Connector, number: number, count: p.count.sink(spec.Name)}
}

// open opens the sink as a program says, once. after is nil, or closed when an optional sink may begin to send.
func (s *sinkRun) open(ctx context.Context, spec *pipelines.Sink, limits flow.Limits, after <-chan struct{}) error {
	s.host = s.p.host(spec.Name, spec.Connector, limits)
	sink, err := guarded(func() (flow.Sink, error) { return spec.Open(ctx, s.host) })
	if err != nil {
		return errors.Join(openError("sink", spec.Name, err), s.host.release())
	}
	s.sink = sink
	s.hard, s.hardStop = context.WithCancel(s.p.hard)
	if spec.Optional {
		s.optional = newOptionalSink(s, limits.InFlightBytes, after)
	}
	return nil
}

// close ends the sink after its last send, and gives back what it was lent. A sink that is not open is left
// alone.
func (s *sinkRun) close(ctx context.Context) error {
	if s.sink == nil || s.closed {
		return nil
	}
	s.closed = true
	defer s.hardStop()
	if s.optional != nil {
		s.optional.close(ctx)
	}
	return errors.Join(guard(func() error { return s.sink.Close(ctx) }), s.host.release())
}
