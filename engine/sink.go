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
	optional *optionalSink // nil for a sink that is waited for
	health   health
	count    *sinkCounter

	// hard ends when what an optional sink has queued is given up.
	hard     context.Context
	hardStop context.CancelFunc
}

func newSinkRun(p *pipeline, spec *pipelines.Sink, number int) *sinkRun {
	s := &sinkRun{p: p, name: spec.Name, connector: spec.Connector, number: number, count: p.count.sink(spec.Name)}
	if spec.Optional {
		s.optional = newOptionalSink(s)
	}
	return s
}

// open opens the sink as a program says, once. An optional sink is opened beside, and cannot fail here: it begins to send once it is open
// and after is closed, where that is not nil.
func (s *sinkRun) open(ctx context.Context, prog *pipelines.Program, spec *pipelines.Sink, after <-chan struct{}) error {
	s.host = s.p.host(spec.Name, spec.Connector, prog.Limits)
	if s.optional != nil {
		s.hard, s.hardStop = context.WithCancel(s.p.hard)
		s.optional.start(prog, spec, after) //nolint:contextcheck // it goes on when the opening of the pipeline is over
		return nil
	}
	sink, err := guarded(func() (flow.Sink, error) { return spec.Open(ctx, s.host) })
	if err != nil {
		return errors.Join(openError("sink", spec.Name, err), s.host.release())
	}
	s.sink = sink
	s.hard, s.hardStop = context.WithCancel(s.p.hard)
	return nil
}

// close ends the sink after its last send, and gives back what it was lent. A sink that is not open is left
// alone.
func (s *sinkRun) close(ctx context.Context) error {
	if s.hardStop == nil || s.closed {
		return nil
	}
	s.closed = true
	defer s.hardStop()
	if s.optional != nil && !s.optional.close(ctx) {
		return nil // it was never open, and has given back what it was lent
	}
	return errors.Join(guard(func() error { return s.sink.Close(ctx) }), s.host.release())
}
