// Package trial runs the tests that a pipeline file carries: the whole graph with the real nodes in the real engine, sources and
// sinks replaced by ones in memory that keep the sinks' own keys, topics and headers. There is no network and no wall clock.
package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

// Result is what became of one test.
type Result struct {
	Pipeline string        `json:"pipeline"`
	Path     string        `json:"path"`
	Line     int           `json:"line"`
	Test     string        `json:"test"`
	Passed   bool          `json:"passed"`
	Took     time.Duration `json:"took_ns"`
	// Differences say what was expected and what came, a line each; empty when the test passed.
	Differences []string `json:"differences,omitempty"`
}

// timeout bounds one test: a graph without network that has not ended by then never will.
const timeout = 30 * time.Second

// Run runs one test of a program.
func Run(ctx context.Context, prog *pipelines.Program, test *pipelines.Test) Result {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := Result{Pipeline: prog.Name, Path: prog.Path, Line: test.Line, Test: test.Name}
	got, err := play(ctx, prog, test)
	if err != nil {
		r.Differences = []string{err.Error()}
	} else {
		r.Differences = got.compare(prog, test)
	}
	r.Passed = len(r.Differences) == 0
	r.Took = time.Since(start)
	return r
}

// outcome is what came out of a test.
type outcome struct {
	mu    sync.Mutex
	sinks map[string][]received
	err   *flow.Error
	own   error
	lacks []string // what the test would need
}

// received is a message as a sink was to send it.
type received struct {
	body    []byte
	key     []byte
	dest    string
	headers []flow.Header
	// read decodes the body as what wrote it; nil where that is JSON, text or bytes as they are.
	read func(payload []byte) (value.Value, error)
}

func play(ctx context.Context, prog *pipelines.Program, test *pipelines.Test) (*outcome, error) {
	got := &outcome{sinks: map[string][]received{}}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	waits := &pauser{stop: stop, got: got}
	e := engine.New(engine.Options{
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Instance: "test",
		Now:       func() time.Time { return test.Clock },
		Pause:     waits.pause,
		Unhandled: func(u engine.Unhandled) { got.fail(u.Err) },
	})
	p, err := e.Start(ctx, replaced(prog, test, got))
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		if len(got.lacking()) > 0 {
			_ = p.Stop(ctx) // that it was given up is known
			return got, nil
		}
		return nil, errors.Join(fmt.Errorf("the test did not end within %s", timeout), p.Stop(ctx))
	}
	got.own = p.Err()
	return got, nil
}

func (o *outcome) fail(err *flow.Error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.mu.Unlock()
}

// replaced is the program with its sources and sinks in memory.
func replaced(prog *pipelines.Program, test *pipelines.Test, got *outcome) *pipelines.Program {
	c := *prog
	c.Nodes = stubbed(prog.Nodes, test, got)
	c.Background = nil // a test is over before a table could change
	script := newScript(test, prog)
	c.Sources = append([]pipelines.Source(nil), prog.Sources...)
	for i := range c.Sources {
		s := &c.Sources[i]
		s.Traits.Finite = true
		s.Open = func(context.Context, flow.Host) (flow.Source, error) { return script.source(s.Name), nil }
	}
	c.Sinks = append([]pipelines.Sink(nil), prog.Sinks...)
	for i := range c.Sinks {
		s := &c.Sinks[i]
		s.Optional = false // what an optional sink gets is compared like any other
		s.Open = func(context.Context, flow.Host) (flow.Sink, error) {
			return &sink{name: s.Name, got: got, preparer: s.Preparer, mask: c.Mask, decode: s.Decode}, nil
		}
	}
	return &c
}

// sink keeps what it is sent.
type sink struct {
	name     string
	got      *outcome
	preparer flow.Preparer
	decode   func(payload []byte) (value.Value, error)
	mask     func(string) string // a destination may hold a secret: a test sees *** there
}

func (s *sink) Send(_ context.Context, outs []*flow.Outgoing, done func()) {
	s.got.mu.Lock()
	for _, o := range outs {
		o.Own()
		s.got.sinks[s.name] = append(s.got.sinks[s.name], received{body: o.Body, key: o.Key, dest: s.mask(o.Dest), headers: s.headers(o), read: s.reader(o)})
	}
	s.got.mu.Unlock()
	done()
}

// reader is what reads the body that the sink was sent.
func (s *sink) reader(o *flow.Outgoing) func(payload []byte) (value.Value, error) {
	format, coder := o.Came()
	switch {
	case s.decode != nil:
		return s.decode
	case format == document.Coded:
		return coder.Decode
	}
	return nil
}

// headers are those that the real sink would send. They are copied: what was prepared may point into the batch's memory.
func (s *sink) headers(o *flow.Outgoing) []flow.Header {
	p, ok := s.preparer.(flow.HeaderPreparer)
	if !ok {
		return o.Headers()
	}
	var headers []flow.Header
	for _, h := range p.SentHeaders(o) {
		headers = append(headers, flow.TextHeader(h.Name, strings.Clone(h.Text())))
	}
	return headers
}

func (s *sink) Close(context.Context) error { return nil }

// script plays a test's messages one after another, each after the one before has been settled, whichever source it enters by.
type script struct {
	test  *pipelines.Test
	under map[string]func(header []byte) document.Coder
	steps map[string][]int
	turns []chan struct{} // turns[i] is closed when message i may enter
}

func newScript(test *pipelines.Test, prog *pipelines.Program) *script {
	s := &script{test: test, under: map[string]func(header []byte) document.Coder{}, steps: map[string][]int{}, turns: make([]chan struct{}, len(test.Send)+1)}
	for i := range s.turns {
		s.turns[i] = make(chan struct{})
	}
	close(s.turns[0])
	for i := range prog.Sources {
		s.under[prog.Sources[i].Name] = prog.Sources[i].Under
	}
	for i, m := range test.Send {
		name := m.Source
		if name == "" && len(prog.Sources) > 0 {
			name = prog.Sources[0].Name
		}
		s.steps[name] = append(s.steps[name], i)
	}
	return s
}

func (s *script) source(name string) flow.Source {
	return &source{script: s, name: name, lane: flow.NewLane(name)}
}

type source struct {
	script *script
	name   string
	lane   *flow.Lane
}

func (s *source) Run(ctx context.Context, in flow.Intake) error {
	for _, i := range s.script.steps[s.name] {
		select {
		case <-s.script.turns[i]:
		case <-ctx.Done():
			return nil
		}
		b := &flow.Batch{Lane: s.lane, Records: []flow.Record{s.script.record(i)}, Arrived: s.script.test.Clock.UnixNano(), Memory: i}
		s.underHeader(b)
		if err := in.Push(ctx, b); err != nil {
			return nil //nolint:nilerr // the pipeline stops: what is left is not sent
		}
	}
	return nil
}

// underHeader takes the header line off the payload of a source whose payloads are lines below one: a test's message has both.
func (s *source) underHeader(b *flow.Batch) {
	r := &b.Records[0]
	if under := s.script.under[s.name]; under != nil && r.Body != nil {
		header, line, _ := bytes.Cut(r.Body, []byte{'\n'})
		r.Body = bytes.TrimSuffix(line, []byte{'\n'})
		b.Coder = under(bytes.TrimSuffix(header, []byte{'\r'}))
	}
}

func (s *script) record(i int) flow.Record {
	m := &s.test.Send[i]
	r := flow.Record{
		Body: m.Payload, Headers: m.Meta, Topic: m.Topic, Offset: int64(i), Partition: flow.NoPartition, Attempt: 1,
	}
	if m.Key != nil {
		r.Key = []byte(*m.Key)
	}
	if !m.Time.IsZero() {
		r.Time = m.Time.UnixNano()
	}
	return r
}

// Settle lets the next message in.
func (s *source) Settle(b *flow.Batch) {
	if i, ok := b.Memory.(int); ok {
		close(s.script.turns[i+1])
	}
}

func (s *source) Close(context.Context) error { return nil }
