package connectortest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
)

// clock is what time it is for the messages of this package.
var clock = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Message makes a message of a record, whose body reads as JSON. paths are those that the component's expressions declared; nil when
// it has none.
func Message(r flow.Record, paths *document.Paths) *flow.Message {
	if paths == nil {
		paths = document.NewPaths()
		paths.Freeze()
	}
	env := &flow.Env{Source: "in", Connector: "test", Paths: paths, Now: func() time.Time { return clock }}
	m := &flow.Message{}
	m.Open(env, &flow.Batch{Records: []flow.Record{r}, Arrived: clock.UnixNano()}, 0)
	return m
}

// Outgoing makes a message of a record and leads it through prepare, which may be nil, as the engine does before Send.
func Outgoing(prepare flow.Preparer, r flow.Record, paths *document.Paths) (*flow.Outgoing, error) {
	m := Message(r, paths)
	o := &flow.Outgoing{}
	o.Fill(m, r.Body)
	if prepare == nil {
		return o, nil
	}
	return o, prepare.Prepare(m, o)
}

// Outgoings makes one prepared message of each payload.
func Outgoings(prepare flow.Preparer, bodies ...string) ([]*flow.Outgoing, error) {
	outs := make([]*flow.Outgoing, len(bodies))
	for i, body := range bodies {
		o, err := Outgoing(prepare, flow.Record{Body: []byte(body), Topic: "test", Offset: int64(i), Attempt: 1}, nil)
		if err != nil {
			return nil, err
		}
		outs[i] = o
	}
	return outs, nil
}

var (
	errNoAnswer   = errors.New("no answer")
	errTwoAnswers = errors.New("Send called done twice")
)

// Send hands outs over and waits for the answer. The error is about the contract: done was called twice, or left an error unset. Before
// the call every result is set to an error, so that a sink that forgets one is found.
func Send(ctx context.Context, s flow.Sink, outs []*flow.Outgoing) error {
	for _, o := range outs {
		o.Err = errNoAnswer
	}
	answered := make(chan struct{})
	var calls atomic.Int32
	s.Send(ctx, outs, func() {
		if calls.Add(1) == 1 {
			close(answered)
		}
	})
	<-answered
	for _, o := range outs {
		if errors.Is(o.Err, errNoAnswer) {
			return errors.New("Send left a result unset")
		}
	}
	if calls.Load() > 1 {
		return errTwoAnswers
	}
	return nil
}

// Errors is the results of outs.
func Errors(outs []*flow.Outgoing) []error {
	errs := make([]error, len(outs))
	for i, o := range outs {
		errs[i] = o.Err
	}
	return errs
}
