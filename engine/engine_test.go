package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

func TestRecordsFlowThroughTheGraph(t *testing.T) {
	keep := node(func(m *flow.Message, e *flow.Emitter) error {
		if strings.Contains(string(m.Payload()), "x") {
			e.Emit(0, m)
		}
		return nil
	})
	split := node(func(m *flow.Message, e *flow.Emitter) error {
		for i := range 3 {
			c := e.Copy(m)
			c.ExtendID(i)
			c.SetKey([]byte(c.ID()))
			e.Emit(0, c)
		}
		return nil
	})
	bubble(t, "a pipeline without nodes passes everything on", func(t *testing.T) {
		r := newRig(t, 1).run("a", "b", "c")
		r.got(0, "a", "b", "c")
		r.settled(3, 0)
		r.state(Stopped)
	})
	bubble(t, "a message that is not emitted is filtered", func(t *testing.T) {
		r := newRig(t, 1, keep).run("ax", "b", "cx")
		r.got(0, "ax", "cx")
		if b := r.p.Balance(); b.Filtered != 1 || b.Delivered != 2 {
			t.Errorf("balance %+v", b)
		}
	})
	bubble(t, "what a sink discards on purpose counts as dropped", func(t *testing.T) {
		r := newRig(t, 2)
		r.program.Sinks[1].Traits.Discards = true
		r.program.Sources[0].Out = []pipelines.Edge{{Sink: true, Index: 1}}
		r.run("a", "b")
		if b := r.p.Balance(); b.Dropped != 2 || b.Delivered != 0 {
			t.Errorf("balance %+v", b)
		}
		r.settled(2, 0)
	})
	bubble(t, "each edge gets a copy", func(t *testing.T) {
		r := newRig(t, 2, node(pass))
		r.program.Nodes[0].Ports[0] = []pipelines.Edge{{Sink: true, Index: 0}, {Sink: true, Index: 1}}
		r.run("a", "b")
		r.got(0, "a", "b")
		r.got(1, "a", "b")
		r.settled(2, 0)
	})
	bubble(t, "each part of a split arrives", func(t *testing.T) {
		r := newRig(t, 1, split).run("a")
		var keys []string
		for _, d := range r.sinks[0].Delivered() {
			keys = append(keys, string(d.Key))
		}
		if fmt.Sprint(keys) != "[memory:t@0/0 memory:t@0/1 memory:t@0/2]" {
			t.Errorf("keys %v", keys)
		}
		if b := r.p.Balance(); b.Delivered != 1 {
			t.Errorf("the record counts %d times", b.Delivered)
		}
	})
	bubble(t, "nested fan-out keeps the branches apart", nestedFanOut)
	bubble(t, "a port that a node does not have is a failure of the message", func(t *testing.T) {
		r := newRig(t, 1, node(func(m *flow.Message, e *flow.Emitter) error { e.Emit(7, m); return nil }))
		r.program.Nodes[0].OnError = then(pipelines.ThenDrop, 0)
		r.run("a")
		if b := r.p.Balance(); b.Dropped != 1 {
			t.Errorf("balance %+v", b)
		}
	})
}

// nestedFanOut emits each message twice, over three levels, with an error edge of a refusing sink in the middle of it.
func nestedFanOut(t *testing.T) {
	label := func(name string) pipelines.Node {
		return node(func(m *flow.Message, e *flow.Emitter) error {
			for _, side := range []string{"l", "r"} {
				c := e.Copy(m)
				c.SetKey(append(append([]byte{}, m.Key()...), name+side...))
				e.Emit(0, c)
			}
			e.Emit(0, m)
			return nil
		})
	}
	r := newRig(t, 2, label("1"), label("2"), node(pass))
	r.program.Nodes[1].Ports[0] = []pipelines.Edge{{Sink: true, Index: 1}, {Index: 2}}
	r.program.Sinks[1].Errors = []pipelines.Edge{{Index: 2}}
	r.program.Sinks[1].OnError = then(pipelines.ThenErrors, 0)
	r.sinks[1].Check = func(*flow.Message, *flow.Outgoing) error { return permanent() }
	r.run("k:a", "j:b")
	count := map[string]int{}
	for _, d := range r.sinks[0].Delivered() {
		count[string(d.Key)]++
	}
	for _, k := range []string{"k", "j"} {
		for _, a := range []string{"", "1l", "1r"} {
			for _, b := range []string{"", "2l", "2r"} {
				if count[k+a+b] != 2 {
					t.Errorf("%s arrived %d times, want 2", k+a+b, count[k+a+b])
				}
			}
		}
	}
	r.settled(2, 0)
	if b := r.p.Balance(); b.DeadLettered != 2 {
		t.Errorf("records whose errors were read count as dead-lettered: %+v", b)
	}
}

func TestFailuresEndAsTheFileSays(t *testing.T) {
	for _, c := range []struct {
		name    string
		policy  pipelines.Policy
		failure error
		fails   int
		main    []string
		letters []string
		balance Balance
		state   State
		left    int
	}{
		{"drop lets the message go", then(pipelines.ThenDrop, 3), permanent(), 9, []string{"a", "c"}, nil,
			Balance{In: 3, Delivered: 2, Dropped: 1}, Stopped, 0},
		{"continue sends the message on", then(pipelines.ThenContinue, 3), permanent(), 9, []string{"a", "b!", "c"}, nil,
			Balance{In: 3, Delivered: 3}, Stopped, 0},
		{"a sink gets a dead letter", then(pipelines.ThenSink, 3), permanent(), 9, []string{"a", "c"}, []string{"b!"},
			Balance{In: 3, Delivered: 2, DeadLettered: 1}, Stopped, 0},
		{"errors are read by a sink", then(pipelines.ThenErrors, 3), permanent(), 9, []string{"a", "c"}, []string{"b!"},
			Balance{In: 3, Delivered: 2, DeadLettered: 1}, Stopped, 0},
		{"stop leaves the message and fails", then(pipelines.ThenStop, 3), permanent(), 9, []string{"a"}, nil,
			Balance{In: 1, Delivered: 1, Returned: 2}, Failed, 2},
		{"a transient failure is tried again in order", then(pipelines.ThenDrop, 3), transient(), 3, []string{"a", "b!", "c"}, nil,
			Balance{In: 3, Delivered: 3, Retries: 3}, Stopped, 0},
		{"retries end", then(pipelines.ThenDrop, 3), transient(), 4, []string{"a", "c"}, nil,
			Balance{In: 3, Delivered: 2, Dropped: 1, Retries: 3}, Stopped, 0},
		{"no retry at all", then(pipelines.ThenSink, 0), transient(), 9, []string{"a", "c"}, []string{"b!"},
			Balance{In: 3, Delivered: 2, DeadLettered: 1}, Stopped, 0},
		{"retry for ever", then(pipelines.ThenDrop, -1), transient(), 2000, []string{"a", "b!", "c"}, nil,
			Balance{In: 3, Delivered: 3, Retries: 2000}, Stopped, 0},
	} {
		check := func(t *testing.T, r *rig) {
			r.run("a", "b!", "c")
			r.got(0, c.main...)
			r.got(1, c.letters...)
			r.state(c.state)
			if got := r.p.Balance(); got != c.balance {
				t.Errorf("balance %+v, want %+v", got, c.balance)
			}
			r.settled(3-c.left, c.left)
		}
		bubble(t, c.name+" at a node", func(t *testing.T) {
			r := newRig(t, 2, failing(c.fails, c.failure))
			c.policy.Sink = 1
			r.program.Nodes[0].OnError = c.policy
			r.program.Nodes[0].Errors = []pipelines.Edge{{Sink: true, Index: 1}}
			check(t, r)
		})
		if c.policy.Then == pipelines.ThenContinue {
			continue // nothing comes after a sink
		}
		bubble(t, c.name+" at a sink", func(t *testing.T) {
			r := newRig(t, 2)
			fails := c.fails
			r.sinks[0].Answer = func(o *flow.Outgoing) error {
				if strings.Contains(string(o.Body), "!") && fails > 0 {
					fails--
					return c.failure
				}
				return nil
			}
			c.policy.Sink = 1
			r.program.Sinks[0].OnError = c.policy
			r.program.Sinks[0].Errors = []pipelines.Edge{{Sink: true, Index: 1}}
			last := flow.AsError(c.failure, flow.Transient, flow.CodeUnavailable).Class != flow.Transient || c.policy.Retries == 0
			over := last && (c.policy.Then == pipelines.ThenSink || c.policy.Then == pipelines.ThenDrop)
			if !over {
				// What followed the failed message was sent with it, and is sent again behind it.
				c.main = append([]string{"a", "c"}, c.main[1:]...)
				c.balance.Resent = 1
			}
			check(t, r)
		})
	}
}

func TestWhatFollowsAMessageOfItsKeyIsLeftWithItWhenItsLetterCannotBeDelivered(t *testing.T) {
	for name, feeds := range map[string][][]string{"in one batch": {{"k:old!", "k:new"}}, "in two batches": {{"k:old!"}, {"k:new"}}} {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, 2)
			r.sinks[0].Answer = func(o *flow.Outgoing) error {
				if strings.Contains(string(o.Body), "!") {
					return permanent()
				}
				return nil
			}
			r.sinks[1].Answer = func(*flow.Outgoing) error { return transient() }
			policy := then(pipelines.ThenSink, 3)
			policy.Sink = 1
			r.program.Sinks[0].OnError = policy
			r.start()
			for _, records := range feeds {
				r.feed(records...)
			}
			time.Sleep(5 * time.Second)
			if err := r.stop(time.Second); err == nil {
				t.Error("the letter was delivered")
			}
			r.settled(0, 2)
		})
	}
}

func TestANodeLogsForItsPipeline(t *testing.T) {
	bubble(t, "with the engine's logger and the pipeline's name", func(t *testing.T) {
		var out bytes.Buffer
		r := newRig(t, 1, node(func(m *flow.Message, e *flow.Emitter) error {
			e.Logger().Info("seen")
			e.Emit(0, m)
			return nil
		}))
		r.engine.opts.Logger = slog.New(slog.NewTextHandler(&out, nil))
		r.run("a")
		if !strings.Contains(out.String(), "msg=seen pipeline=p") {
			t.Error(out.String())
		}
	})
}

func TestPanicIsPoison(t *testing.T) {
	boom := node(func(m *flow.Message, e *flow.Emitter) error {
		if m.Payload()[0] == '!' {
			panic("boom")
		}
		e.Emit(0, m)
		return nil
	})
	bubble(t, "in a node", func(t *testing.T) {
		r := newRig(t, 2, boom)
		r.program.Nodes[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
		r.run("a", "!", "b")
		r.got(0, "a", "b")
		if class := headerOf(r, 1, 0, "millstream-error-class"); class != "poison" {
			t.Errorf("class %q", class)
		}
	})
	for _, where := range []string{"Prepare", "Send"} {
		bubble(t, "in a sink's "+where, func(t *testing.T) {
			r := newRig(t, 2)
			r.program.Sinks[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
			if where == "Prepare" {
				r.sinks[0].Check = func(m *flow.Message, _ *flow.Outgoing) error { panic("boom") }
			} else {
				r.program.Sinks[0].Open = func(ctxt, flow.Host) (flow.Sink, error) { return panickingSink{r.sinks[0]}, nil }
			}
			r.run("a")
			r.got(1, "a")
			r.state(Stopped)
		})
	}
	bubble(t, "in a source", func(t *testing.T) {
		r := newRig(t, 1)
		r.program.Sources[0].Open = func(ctx ctxt, h flow.Host) (flow.Source, error) { return panicking{r.in}, nil }
		r.start()
		<-r.p.Done()
		r.state(Failed)
	})
}

func TestLimitsOfARecord(t *testing.T) {
	bubble(t, "a payload over max_message fails at its source", func(t *testing.T) {
		r := newRig(t, 2)
		r.program.Limits.MaxMessage = 4
		r.program.Sources[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
		r.run("abcd", "abcde")
		r.got(0, "abcd")
		r.got(1, "abcde")
		if code, at := headerOf(r, 1, 0, "millstream-error-code"), headerOf(r, 1, 0, "millstream-error-node"); code != "too_large" || at != "in" {
			t.Errorf("code %q at %q", code, at)
		}
	})
	bubble(t, "what the source could not take whole does not enter the graph", func(t *testing.T) {
		r := newRig(t, 2)
		r.program.Sources[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
		r.start()
		r.in.Feed(r.lane, flow.Record{Body: []byte("begin"), Failure: flow.Errorf(flow.Permanent, flow.CodeTooLarge, "a line too long")})
		r.in.End(nil)
		<-r.p.Done()
		r.got(0)
		r.got(1, "begin")
		if got := headerOf(r, 1, 0, "millstream-error-truncated"); got != "true" {
			t.Errorf("truncated is %q", got)
		}
	})
	bubble(t, "what the source took whole and failed is not called truncated", func(t *testing.T) {
		r := newRig(t, 2)
		r.program.Sources[0].OnError = pipelines.Policy{Then: pipelines.ThenSink, Sink: 1}
		r.start()
		r.in.Feed(r.lane, flow.Record{Body: []byte("whole"), Failure: flow.Errorf(flow.Poison, flow.CodeDeliveries, "delivered too often")})
		r.in.End(nil)
		<-r.p.Done()
		r.got(1, "whole")
		if got := headerOf(r, 1, 0, "millstream-error-truncated"); got != "" {
			t.Errorf("truncated is %q", got)
		}
	})
}

func TestPauseWaitsForResume(t *testing.T) {
	for _, where := range []string{"node", "sink"} {
		bubble(t, "at a "+where, func(t *testing.T) {
			bad := true
			fail := func() error {
				if bad {
					return permanent()
				}
				return nil
			}
			r := newRig(t, 1, node(func(m *flow.Message, e *flow.Emitter) error {
				if where == "node" && m.Payload()[0] == '!' && bad {
					return fail()
				}
				e.Emit(0, m)
				return nil
			}))
			r.sinks[0].Answer = func(o *flow.Outgoing) error {
				if where == "sink" && o.Body[0] == '!' {
					return fail()
				}
				return nil
			}
			r.start()
			r.feed("!1", "2")
			synctest.Wait()
			r.state(Paused)
			r.feed("3")
			synctest.Wait()
			if b := r.p.Balance(); b.In != 2 || !b.Even() {
				t.Errorf("a paused pipeline read on: %+v", b)
			}
			r.p.Resume() // too early: it pauses again
			synctest.Wait()
			r.state(Paused)
			bad = false
			r.p.Resume()
			synctest.Wait()
			r.state(Running)
			if err := r.stop(time.Second); err != nil {
				t.Error(err)
			}
			r.settled(3, 0)
			r.even()
		})
	}
	bubble(t, "a stop leaves the message and what follows it under its key", func(t *testing.T) {
		r := newRig(t, 1, failing(9, permanent()))
		r.start()
		r.feed("k:!", "j:1", "k:2")
		r.feed("k:3")
		synctest.Wait()
		if err := r.stop(time.Second); err != nil {
			t.Error(err)
		}
		r.got(0, "j:1")
		r.state(Stopped)
		r.even()
	})
}

func TestNeighboursDoNotNotice(t *testing.T) {
	bubble(t, "one pipeline panics, pauses or fails and the other runs on", func(t *testing.T) {
		good := newRig(t, 1)
		good.program.Name = "good"
		good.start()
		for i, bad := range []func(m *flow.Message, e *flow.Emitter) error{
			func(*flow.Message, *flow.Emitter) error { panic("boom") },
			func(*flow.Message, *flow.Emitter) error { return permanent() },
		} {
			r := newRig(t, 1, node(bad))
			r.engine, r.program.Name = good.engine, fmt.Sprint("bad", i)
			r.start()
			r.feed("x")
			synctest.Wait()
			r.state(Paused)
		}
		failed := newRig(t, 1)
		failed.engine, failed.program.Name = good.engine, "failed"
		failed.start()
		failed.in.End(errors.New("gone"))
		<-failed.p.Done()
		failed.state(Failed)
		good.feed("a")
		synctest.Wait()
		good.got(0, "a")
		ctx, cancel := withTimeout(time.Second)
		defer cancel()
		if err := good.engine.Stop(ctx); err != nil {
			t.Error(err)
		}
		good.state(Stopped)
	})
}
