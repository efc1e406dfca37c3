package flow_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/engine/enginetest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

// Shout is a node of one's own: it refuses empty messages, and sends the others on with a louder key and a header.
type Shout struct{ Mark string }

// Process implements flow.Processor.
func (s Shout) Process(m *flow.Message, e *flow.Emitter) error {
	if len(m.Payload()) == 0 {
		return flow.Errorf(flow.Permanent, flow.CodeProcessing, "nothing to shout")
	}
	m.SetKey(append(bytes.ToUpper(m.Key()), s.Mark...))
	if err := m.SetMeta("loud", value.Bool(true)); err != nil {
		return err
	}
	e.Emit(0, m)
	return nil
}

// Lines is a sink of one's own: one line per message.
type Lines struct {
	mu  sync.Mutex
	out io.Writer
}

// Prepare implements flow.Preparer: it says at once what can never be written.
func (*Lines) Prepare(_ *flow.Message, o *flow.Outgoing) error {
	if bytes.IndexByte(o.Body, '\n') >= 0 {
		return flow.Errorf(flow.Permanent, flow.CodeEncode, "the payload holds a newline")
	}
	return nil
}

// Send implements flow.Sink: each message has its result before done is called.
func (l *Lines) Send(_ context.Context, outs []*flow.Outgoing, done func()) {
	defer done()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range outs {
		_, o.Err = fmt.Fprintf(l.out, "%s: %s\n", o.Key, o.Body)
	}
}

// Close implements flow.Sink.
func (*Lines) Close(context.Context) error { return nil }

// A node is a Processor. Tests can drive it with an Emitter alone.
func ExampleProcessor() {
	paths := document.NewPaths()
	paths.Freeze()
	var m flow.Message
	m.Open(&flow.Env{Connector: "memory", Format: document.Text, Paths: paths},
		&flow.Batch{Records: []flow.Record{{Body: []byte("hello"), Key: []byte("k1")}}}, 0)
	var e flow.Emitter
	if err := (Shout{Mark: "!"}).Process(&m, &e); err != nil {
		fmt.Println(err)
	}
	loud, _ := m.Meta("loud")
	fmt.Println(len(e.Emitted), string(m.Key()), loud)
	// Output: 1 K1! true
}

// A sink is a Sink and a Preparer. Here a program made by hand leads records from memory through a node into it.
func ExampleSink() {
	source, lines := enginetest.NewSource(), &Lines{out: os.Stdout}
	lane := flow.NewLane("example")
	source.Feed(lane, flow.Record{Body: []byte("hello"), Key: []byte("k1")}, flow.Record{Body: []byte(""), Key: []byte("k2")})
	source.Feed(lane, flow.Record{Body: []byte("bye"), Key: []byte("k3")})
	source.End(nil)

	paths := document.NewPaths()
	paths.Freeze()
	drop := pipelines.Policy{Then: pipelines.ThenDrop}
	program := &pipelines.Program{
		Name: "example", Paths: paths, Limits: pipelines.DefaultLimits(),
		Sources: []pipelines.Source{{Name: "in", Connector: "memory", Open: source.Open, Out: []pipelines.Edge{{Index: 0}}}},
		Nodes: []pipelines.Node{{
			Name: "shout", Verb: "shout", Processor: Shout{Mark: "!"}, Ports: [][]pipelines.Edge{{{Sink: true, Index: 0}}}, OnError: drop,
		}},
		Sinks: []pipelines.Sink{{
			Name: "out", Connector: "lines", Preparer: lines, OnError: drop,
			Open: func(context.Context, flow.Host) (flow.Sink, error) { return lines, nil },
		}},
	}
	p, err := engine.New(engine.Options{Logger: slog.New(slog.DiscardHandler)}).Start(context.Background(), program)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-p.Done()
	fmt.Printf("delivered %d, dropped %d\n", p.Balance().Delivered, p.Balance().Dropped)
	// Output:
	// K1!: hello
	// K3!: bye
	// delivered 2, dropped 1
}
