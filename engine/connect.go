package engine

import (
	"context"
	"sync"

	"github.com/millstream/millstream/pipelines"
)

// Unconnected is a source or sink, by its name, that cannot connect.
type Unconnected struct {
	Part string
	Err  error
}

// TryConnect tries the connections of a program's sources and sinks, side by side, and opens nothing: it dials, authenticates and looks whether
// the queues and topics are there. The errors are in the order of the program and name the part; parts that cannot be tried give none.
func (e *Engine) TryConnect(ctx context.Context, prog *pipelines.Program) []Unconnected {
	p := newPipeline(e, prog)
	defer func() {
		p.stopReading()
		p.beginDrain()
		p.hardStop()
	}()
	errs := make([]error, len(prog.Sources)+len(prog.Sinks))
	var trying sync.WaitGroup
	for i := range prog.Sources {
		s := &prog.Sources[i]
		trying.Go(func() {
			errs[i] = tryConnect(ctx, s.Connect, p.host(s.Name, s.Connector, prog.Limits), "source", s.Name)
		})
	}
	for i := range prog.Sinks {
		s := &prog.Sinks[i]
		trying.Go(func() {
			errs[len(prog.Sources)+i] = tryConnect(ctx, s.Connect, p.host(s.Name, s.Connector, prog.Limits), "sink", s.Name)
		})
	}
	trying.Wait()
	var failed []Unconnected
	for i, err := range errs {
		if err == nil {
			continue
		}
		part := ""
		if sink := i - len(prog.Sources); sink >= 0 {
			part = prog.Sinks[sink].Name
		} else {
			part = prog.Sources[i].Name
		}
		failed = append(failed, Unconnected{part, err})
	}
	return failed
}
