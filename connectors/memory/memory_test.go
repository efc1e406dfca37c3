package memory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/memory"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openSource(t *testing.T, hub *memory.Hub, topic string, host *connectortest.Host) flow.Source {
	t.Helper()
	cfg := memory.Type(hub).NewSource()
	var built config.Source
	if _, findings := connectortest.Build(t, "topic: "+topic+"\n", cfg, func(b *config.Builder) { built = cfg.BuildSource(b) }); findings != nil {
		t.Fatal(findings)
	}
	s, err := built.Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openSink(t *testing.T, hub *memory.Hub, topic string) (flow.Sink, flow.Preparer, *config.Builder) {
	t.Helper()
	cfg := memory.Type(hub).NewSink()
	var built config.Sink
	b, findings := connectortest.Build(t, "topic: "+topic+"\n", cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	if findings != nil {
		t.Fatal(findings)
	}
	s, err := built.Open(t.Context(), connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	return s, built.Preparer, b
}

// subscribe runs a source until the returned function is called.
func subscribe(t *testing.T, hub *memory.Hub, topic string, in *connectortest.Intake) (stop func()) {
	t.Helper()
	s := openSource(t, hub, topic, connectortest.NewHost(t))
	in.Source = s
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Add(1)
	go func() {
		defer ended.Done()
		if err := s.Run(ctx, in); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		ended.Wait()
	})
}

func bodies(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`{"n":%d}`, i)
	}
	return all
}

// sendAll sends and fails the test when a message is not confirmed.
func sendAll(t *testing.T, s flow.Sink, outs []*flow.Outgoing) {
	t.Helper()
	if err := connectortest.Send(t.Context(), s, outs); err != nil {
		t.Fatal(err)
	}
	for i, err := range connectortest.Errors(outs) {
		if err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func outgoings(t *testing.T, p flow.Preparer, bodies ...string) []*flow.Outgoing {
	t.Helper()
	outs, err := connectortest.Outgoings(p, bodies...)
	if err != nil {
		t.Fatal(err)
	}
	return outs
}

func TestMemoryKeepsTheContractOfSources(t *testing.T) {
	want := bodies(1500)
	connectortest.Source(t, connectortest.SourceSuite{
		Want: want,
		Open: func(t *testing.T, host *connectortest.Host) flow.Source {
			hub := memory.NewHub()
			s := openSource(t, hub, "a", host)
			sink, prepare, _ := openSink(t, hub, "a")
			ctx, cancel := context.WithCancel(context.Background())
			var ended sync.WaitGroup
			ended.Add(1)
			go func() {
				defer ended.Done()
				sink.Send(ctx, outgoings(t, prepare, want...), func() {})
			}()
			t.Cleanup(func() {
				cancel()
				ended.Wait()
			})
			return s
		},
		Idle: func(t *testing.T, host *connectortest.Host) flow.Source {
			return openSource(t, memory.NewHub(), "a", host)
		},
	})
}

func TestMemoryKeepsTheContractOfSinks(t *testing.T) {
	connectortest.Sink(t, connectortest.SinkSuite{
		Open: func(t *testing.T, _ *connectortest.Host) (flow.Sink, flow.Preparer, func() []string) {
			hub := memory.NewHub()
			in := &connectortest.Intake{}
			t.Cleanup(subscribe(t, hub, "a", in))
			s, prepare, _ := openSink(t, hub, "a")
			return s, prepare, in.Bodies
		},
	})
}

func TestEverySubscriberGetsEveryMessage(t *testing.T) {
	hub := memory.NewHub()
	ins := []*connectortest.Intake{{}, {}, {}}
	for _, in := range ins {
		defer subscribe(t, hub, "a", in)()
	}
	s, prepare, _ := openSink(t, hub, "a")
	var all []*connectortest.Intake
	for len(all) < 3 { // all have subscribed once one message has reached each
		sendAll(t, s, outgoings(t, prepare, "0"))
		all = nil
		for _, in := range ins {
			if len(in.Bodies()) > 0 {
				all = append(all, in)
			}
		}
	}
	sendAll(t, s, outgoings(t, prepare, bodies(1000)...))
	for i, in := range ins {
		got := in.Bodies()
		if diff := cmp.Diff(bodies(1000), got[max(0, len(got)-1000):]); diff != "" {
			t.Errorf("subscriber %d: %s", i, diff)
		}
	}
}

func TestASinkWaitsForASubscriber(t *testing.T) {
	hub := memory.NewHub()
	s, prepare, _ := openSink(t, hub, "a")
	outs := outgoings(t, prepare, "1")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		sendAll(t, s, outs)
	}()
	in := &connectortest.Intake{}
	stop := subscribe(t, hub, "a", in)
	<-sent
	stop()
	if diff := cmp.Diff([]string{"1"}, in.Bodies()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatASubscriberTookAndDidNotPushComesFirstToTheNext(t *testing.T) {
	hub := memory.NewHub()
	ctx, cancel := context.WithCancel(t.Context())
	full := &connectortest.Intake{Pushed: func(*flow.Batch) error { // as a pipeline whose limits are reached until it stops
		cancel()
		return ctx.Err()
	}}
	sink, prepare, _ := openSink(t, hub, "a")
	stopped := openSource(t, hub, "a", connectortest.NewHost(t))
	full.Source = stopped
	var old, sends sync.WaitGroup
	old.Go(func() {
		if err := stopped.Run(ctx, full); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	sends.Go(func() {
		for _, body := range bodies(3) {
			outs := outgoings(t, prepare, body)
			sends.Add(1)
			sink.Send(t.Context(), outs, func() {
				defer sends.Done()
				if outs[0].Err != nil {
					t.Errorf("%s: %v", body, outs[0].Err)
				}
			})
		}
	})
	old.Wait()
	in := &connectortest.Intake{}
	stop := subscribe(t, hub, "a", in)
	sends.Wait()
	stop()
	if diff := cmp.Diff(bodies(3), in.Bodies()); diff != "" {
		t.Error(diff)
	}
}

func TestTheLogIsToldThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		cfg := memory.Type(memory.NewHub()).NewSink()
		var built config.Sink
		b, findings := connectortest.Build(t, "topic: oders\n", cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
		if findings != nil {
			t.Fatal(findings)
		}
		_ = b
		host := connectortest.NewHost(t)
		s, err := built.Open(t.Context(), logging{host, slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		if err := connectortest.Send(ctx, s, outgoings(t, built.Preparer, "1")); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "nobody reads the memory topic"); n != 2 || !strings.Contains(log.String(), "topic=oders") {
			t.Errorf("told %d times: %s", n, log.String())
		}
	})
}

// logging is a host with a log of its own.
type logging struct {
	flow.Host
	log *slog.Logger
}

// Logger implements flow.Host.
func (l logging) Logger() *slog.Logger { return l.log }

func TestWaitingEndsWithTheContext(t *testing.T) {
	s, prepare, _ := openSink(t, memory.NewHub(), "a")
	outs := outgoings(t, prepare, "1", "2")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := connectortest.Send(ctx, s, outs); err != nil {
		t.Fatal(err)
	}
	for i, err := range connectortest.Errors(outs) {
		var e *flow.Error
		if !errors.As(err, &e) || e.Class != flow.Transient {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func TestAMessageIsConfirmedWhenItIsSettledAndNotBefore(t *testing.T) {
	hub := memory.NewHub()
	pushed := make(chan struct{}, 1)
	in := &connectortest.Intake{Held: true, Pushed: func(*flow.Batch) error {
		pushed <- struct{}{}
		return nil
	}}
	stop := subscribe(t, hub, "a", in)
	s, prepare, _ := openSink(t, hub, "a")
	outs := outgoings(t, prepare, "1")
	done := make(chan struct{})
	s.Send(t.Context(), outs, func() { close(done) })
	<-pushed
	select {
	case <-done:
		t.Fatal("confirmed before it was settled")
	default:
	}
	stop()
	in.SettleAll()
	<-done
	if outs[0].Err != nil {
		t.Error(outs[0].Err)
	}
}

func TestWhatASubscriberDoesNotSettleIsNotConfirmed(t *testing.T) {
	for name, in := range map[string]*connectortest.Intake{
		"left by the pipeline": {Leave: true},
		"refused by the pipeline": {Pushed: func(*flow.Batch) error {
			return context.Canceled
		}},
	} {
		t.Run(name, func(t *testing.T) {
			hub := memory.NewHub()
			s := openSource(t, hub, "a", connectortest.NewHost(t))
			in.Source = s
			ctx, cancel := context.WithCancel(t.Context())
			var ended sync.WaitGroup
			ended.Add(1)
			go func() {
				defer ended.Done()
				_ = s.Run(ctx, in)
			}()
			sink, prepare, _ := openSink(t, hub, "a")
			outs := outgoings(t, prepare, "1", "2")
			if err := connectortest.Send(t.Context(), sink, outs); err != nil {
				t.Fatal(err)
			}
			cancel()
			ended.Wait()
			for i, err := range connectortest.Errors(outs) {
				if e := flow.AsError(err, flow.Poison, ""); e == nil || e.Class != flow.Transient {
					t.Errorf("message %d: %v", i, err)
				}
			}
		})
	}
}

func TestKeyHeadersAndTimeSurvive(t *testing.T) {
	hub := memory.NewHub()
	in := &connectortest.Intake{}
	stop := subscribe(t, hub, "a", in)
	s, prepare, b := openSink(t, hub, "a")
	event := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	record := flow.Record{
		Body: nil, Key: []byte{}, Time: event.UnixNano(), Attempt: 3,
		Headers: []flow.Header{flow.TextHeader("a", "b"), {Name: "n", Value: value.Int(7), Native: int16(7)}, flow.TextHeader("a", "c")},
	}
	o, err := connectortest.Outgoing(prepare, record, b.Scope.Paths)
	if err != nil {
		t.Fatal(err)
	}
	sendAll(t, s, []*flow.Outgoing{o})
	stop()
	got := in.Got()[0]
	if got.Body != nil || got.Key == nil || got.Time != event.UnixNano() || got.Topic != "a" || got.Attempt != 1 {
		t.Errorf("got %+v", got)
	}
	for i, want := range record.Headers {
		if h := got.Headers[i]; h.Name != want.Name || !value.Equal(h.Value, want.Value) || h.Native != want.Native {
			t.Errorf("header %d: %+v", i, h)
		}
	}
}

func TestTheTopicMayDependOnTheMessage(t *testing.T) {
	hub := memory.NewHub()
	de, fr := &connectortest.Intake{}, &connectortest.Intake{}
	defer subscribe(t, hub, "orders.de", de)()
	defer subscribe(t, hub, "orders.fr", fr)()
	s, prepare, b := openSink(t, hub, `"orders.{{ body.c }}"`)
	var outs []*flow.Outgoing
	for _, body := range []string{`{"c":"de","n":1}`, `{"c":"fr","n":2}`, `{"c":"de","n":3}`} {
		o, err := connectortest.Outgoing(prepare, flow.Record{Body: []byte(body), Attempt: 1}, b.Scope.Paths)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, o)
	}
	sendAll(t, s, outs)
	if diff := cmp.Diff([]string{`{"c":"de","n":1}`, `{"c":"de","n":3}`}, de.Bodies()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`{"c":"fr","n":2}`}, fr.Bodies()); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesInMemoryAreFound(t *testing.T) {
	hub := memory.NewHub()
	for text, want := range map[string]string{"{}\n": "missing-key", "topic: \"\"\n": "bad-value", "topic: [a]\n": "wrong-type"} {
		cfg := memory.Type(hub).NewSource()
		_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { cfg.BuildSource(b) })
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("source %q: %q, want %s", text, findings, want)
		}
	}
	for text, want := range map[string]string{"topic: \"{{ bdy }}\"\n": "unknown-name", "topic: \"\"\n": "bad-value",
		"topic: \"{{ body.t }}\"\n": "open-destination", "topic: body.t\n": "expression-in-literal",
		"topic: a\nallow: [\"a[\"]\n": "bad-value"} {
		cfg := memory.Type(hub).NewSink()
		_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { cfg.BuildSink(b) })
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("sink %q: %q, want %s", text, findings, want)
		}
	}
}

func TestARenderedTopicMustBeAllowed(t *testing.T) {
	_, prepare, b := openSink(t, memory.NewHub(), "\"{{ body.t }}\"\nallow: [\"a.*\"]")
	for body, want := range map[string]flow.Code{`{"t":"a.b"}`: "", `{"t":"b"}`: flow.CodeInvalidName} {
		_, err := connectortest.Outgoing(prepare, flow.Record{Body: []byte(body), Attempt: 1}, b.Scope.Paths)
		if e := flow.AsError(err, flow.Poison, ""); e != nil && e.Code != want || e == nil && want != "" {
			t.Errorf("%s: %v", body, err)
		}
	}
}
