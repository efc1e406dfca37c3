package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

func TestOptionalSinkIsNotWaitedFor(t *testing.T) {
	fan := []pipelines.Edge{{Sink: true, Index: 0}, {Sink: true, Index: 1}}
	bubble(t, "a sink that hangs holds nobody up, and what it cannot take is counted", func(t *testing.T) {
		r := newRig(t, 2)
		r.program.Sources[0].Out = fan
		r.program.Sinks[1].Optional = true
		r.program.Limits.InFlightBytes = 200
		r.sinks[1].Gate = make(chan struct{})
		r.start()
		for range 4 {
			r.feed("a")
		}
		synctest.Wait()
		r.settled(4, 0)
		close(r.sinks[1].Gate)
		if err := r.stop(time.Minute); err != nil {
			t.Error(err)
		}
		if n, lost := len(r.sinks[1].Delivered()), r.p.Balance().OptionalDropped; n == 0 || lost == 0 || n+int(lost) != 4 {
			t.Errorf("%d arrived, %d were dropped", n, lost)
		}
	})
	bubble(t, "a stop does not wait past its deadline", func(t *testing.T) {
		r := newRig(t, 2)
		r.program.Sources[0].Out = fan
		r.program.Sinks[1].Optional = true
		r.sinks[1].Gate = make(chan struct{})
		r.start()
		r.feed("a")
		synctest.Wait()
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
		r.settled(1, 0)
		if lost := r.p.Balance().OptionalDropped; lost != 1 {
			t.Errorf("%d dropped", lost)
		}
	})
	bubble(t, "it gets what was tried again, in memory of its own", func(t *testing.T) {
		r := newRig(t, 2, failing(2, transient()))
		r.program.Nodes[0].Ports[0] = fan
		r.program.Sinks[1].Optional = true
		r.start()
		body := []byte("k:!")
		r.in.Feed(r.lane, flow.Record{Body: body})
		for range 20 {
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		r.settled(1, 0)
		_ = r.stop(time.Second)
		copy(body, "xxx")
		r.got(1, "k:!")
	})
}

func TestDeadLetterTellsWhatHappened(t *testing.T) {
	letters := func(t *testing.T) *rig {
		r := newRig(t, 2, node(func(m *flow.Message, _ *flow.Emitter) error {
			_ = m.SetMeta("written", value.String("by the node that failed"))
			return flow.Errorf(flow.Transient, flow.CodeThrottled, "later\xff")
		}))
		r.program.Nodes[0].OnError = pipelines.Policy{Retries: 2, Then: pipelines.ThenSink, Sink: 1}
		r.program.Nodes[0].Name = "steps.1"
		return r
	}
	feed := func(r *rig) {
		r.start()
		r.in.Feed(r.lane, flow.Record{Body: []byte("b\xffdy"), Key: []byte("key"), Topic: "orders", Partition: 3, Offset: 1234,
			Headers: []flow.Header{flow.TextHeader("own", "1"), flow.TextHeader("millstream-error-class", "old")}})
		r.in.End(nil)
		<-r.p.Done()
		r.settled(1, 0)
	}
	bubble(t, "in headers", func(t *testing.T) {
		r := letters(t)
		feed(r)
		r.got(1, "b\xffdy")
		for name, want := range map[string]string{
			"own": "1", "written": "", "millstream-error-class": "transient", "millstream-error-code": "throttled",
			"millstream-error-node": "steps.1", "millstream-error-pipeline": "p", "millstream-error-revision": "0123456789ab",
			"millstream-error-attempts": "3", "millstream-error-origin": "memory:orders/3@1234", "millstream-error-message": "later\xff",
		} {
			if got := headerOf(r, 1, 0, name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if n := len(r.sinks[1].Delivered()[0].Headers); n != 10 {
			t.Errorf("%d headers", n)
		}
		if key := r.sinks[1].Delivered()[0].Key; string(key) != "key" {
			t.Errorf("key %q", key)
		}
	})
	// A refused letter pauses; after the resume it is made anew, not wrapped again.
	bubble(t, "in a JSON object where there are no headers", func(t *testing.T) {
		r := letters(t)
		r.program.Sinks[1].Traits.Headers = false
		refuse := true
		r.sinks[1].Answer = func(*flow.Outgoing) error {
			if refuse {
				refuse = false
				return permanent()
			}
			return nil
		}
		r.start()
		r.in.Feed(r.lane, flow.Record{Body: []byte("b\xffdy"), Topic: "orders", Partition: 3, Offset: 1234, Headers: []flow.Header{
			flow.TextHeader("a", "1"), flow.TextHeader("b", "x"), flow.TextHeader("a", "2"), flow.TextHeader("a", "\xff"), flow.TextHeader("a", "3"),
		}})
		synctest.Wait()
		time.Sleep(time.Hour)
		r.p.Resume()
		synctest.Wait()
		_ = r.stop(time.Second)
		r.settled(1, 0)
		var got map[string]any
		if err := json.Unmarshal([]byte(r.sinks[1].Bodies()[0]), &got); err != nil {
			t.Fatal(err)
		}
		meta := map[string]any{"a": []any{"1", "2", "3"}, "b": "x"}
		if diff := cmp.Diff(meta, got["meta"]); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]any{"a": "/w=="}, got["meta_base64"]); diff != "" {
			t.Error(diff)
		}
		if got["payload_base64"] != "Yv9keQ==" || got["origin"] != "memory:orders/3@1234" || got["attempts"] != 3.0 || got["key"] != nil {
			t.Errorf("%v", got)
		}
	})
}

func TestSinkFailureGivesBackTheMessageAsItEnteredTheSink(t *testing.T) {
	bubble(t, "whatever the sink made of it", func(t *testing.T) {
		r := newRig(t, 2)
		double := func(dst []byte, m *flow.Message) ([]byte, bool, error) {
			return append(dst, bytes.Repeat(m.Payload(), 2)...), false, nil
		}
		r.program.Sinks[0].Encode = double
		r.program.Sinks[0].OnError = pipelines.Policy{Then: pipelines.ThenPause}
		tries := 0
		r.sinks[0].Check = func(_ *flow.Message, o *flow.Outgoing) error {
			o.Key = append([]byte("sink-"), o.Key...)
			o.SetHeaders(append(append([]flow.Header{}, o.Headers()...), flow.TextHeader("added", "x")))
			return nil
		}
		r.sinks[0].Answer = func(*flow.Outgoing) error {
			if tries++; tries < 3 {
				return permanent()
			}
			return nil
		}
		r.start()
		r.feed("k:a")
		for range 3 {
			synctest.Wait()
			r.p.Resume()
		}
		synctest.Wait()
		_ = r.stop(time.Second)
		d := r.sinks[0].Delivered()
		if len(d) != 1 || string(d[0].Body) != "k:ak:a" || string(d[0].Key) != "sink-k" || len(d[0].Headers) != 1 {
			t.Errorf("got %v", d)
		}
	})
}

func TestHeldMessages(t *testing.T) {
	var held *flow.Held
	holding := func(t *testing.T) *rig {
		r := newRig(t, 2, node(func(m *flow.Message, e *flow.Emitter) error {
			if m.Payload()[0] == 'e' {
				e.Hold(m)
				return permanent()
			}
			held = e.Hold(m)
			return nil
		}))
		r.program.Nodes[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
		r.start()
		r.feed("a")
		synctest.Wait()
		r.settled(0, 0)
		return r
	}
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		f      func(r *rig)
		out    []string
		letter []string
		end    Balance
	}{
		{"emit goes on", func(*rig) { held.Emit(ctx, 0); held.Emit(ctx, 0) }, []string{"a"}, nil, Balance{In: 1, Delivered: 1}},
		{"settle ends", func(*rig) { held.Settle(ctx, flow.Dropped) }, nil, nil, Balance{In: 1, Dropped: 1}},
		{"fail asks on_error", func(*rig) { held.Fail(ctx, permanent()) }, nil, []string{"a"}, Balance{In: 1, DeadLettered: 1}},
		{"a port that is not there fails", func(*rig) { held.Emit(ctx, 9) }, nil, []string{"a"}, Balance{In: 1, DeadLettered: 1}},
		{"a stop at once gives it back", func(r *rig) { _ = r.stop(time.Second); held.Emit(ctx, 0) }, nil, nil, Balance{Returned: 1}},
		{"an abandoned lane gives it back", func(r *rig) { r.lane.Abandon() }, nil, nil, Balance{Returned: 1}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			r := holding(t)
			c.f(r)
			synctest.Wait()
			_ = r.stop(time.Second)
			r.got(0, c.out...)
			r.got(1, c.letter...)
			if b := r.p.Balance(); b != c.end {
				t.Errorf("balance %+v, want %+v", b, c.end)
			}
		})
	}
	bubble(t, "a hold of a node that then fails is undone", func(t *testing.T) {
		r := holding(t)
		held.Settle(ctx, flow.Filtered)
		r.feed("e")
		synctest.Wait()
		r.got(1, "e")
		r.settled(2, 0)
		_ = r.stop(time.Second)
	})
	bubble(t, "a message that is tried again may be held", func(t *testing.T) {
		fails := 2
		r := newRig(t, 1, node(func(m *flow.Message, e *flow.Emitter) error {
			if fails--; fails >= 0 {
				return transient()
			}
			held = e.Hold(m)
			return nil
		}))
		r.start()
		r.feed("k:a")
		time.Sleep(time.Hour)
		synctest.Wait()
		r.settled(0, 0)
		held.Emit(ctx, 0)
		synctest.Wait()
		r.got(0, "k:a")
		r.settled(1, 0)
		_ = r.stop(time.Second)
	})
}

func TestMiddlewareCannotLoseABatch(t *testing.T) {
	calls := 0
	for _, c := range []struct {
		name    string
		m       message.HandlerMiddleware
		settled int
		left    int
	}{
		{"one that refuses without calling the handler", func(h message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				if calls++; calls%2 == 1 {
					return nil, errors.New("no")
				}
				return h(m)
			}
		}, 2, 2},
		{"one that says yes without calling the handler", func(h message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				if calls++; calls%2 == 1 {
					return nil, nil
				}
				return h(m)
			}
		}, 2, 2},
		{"one that acknowledges first", func(h message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				m.Ack()
				time.Sleep(time.Second)
				return h(m)
			}
		}, 0, 4},
		{"one that calls twice", func(h message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				_, _ = h(m)
				return h(m)
			}
		}, 4, 0},
		{"one that refuses what the handler settled", func(h message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				_, _ = h(m)
				return nil, errors.New("again")
			}
		}, 0, 4},
		{"one that loses the context", func(h message.HandlerFunc) message.HandlerFunc {
			return func(m *message.Message) ([]*message.Message, error) {
				m.SetContext(context.Background())
				return h(m)
			}
		}, 0, 4},
		{"one that panics", func(message.HandlerFunc) message.HandlerFunc {
			return func(*message.Message) ([]*message.Message, error) { panic("boom") }
		}, 0, 4},
	} {
		bubble(t, c.name, func(t *testing.T) {
			calls = 0
			r := newRig(t, 1)
			r.engine.opts.Middleware = []message.HandlerMiddleware{c.m}
			r.start()
			for range 4 {
				r.feed("k:a")
				time.Sleep(time.Minute)
				synctest.Wait()
			}
			if err := r.stop(time.Hour); err != nil {
				t.Error(err)
			}
			r.settled(c.settled, c.left)
			r.even()
		})
	}
}
