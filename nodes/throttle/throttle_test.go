package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/nodes/nodetest"
	"github.com/millstream/millstream/nodes/throttle"
)

// wantThrottled checks that a message was refused as the file says it is.
func wantThrottled(t *testing.T, res nodetest.Result) {
	t.Helper()
	var e *flow.Error
	if !errors.As(res.Err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeThrottled || !strings.Contains(e.Message, "2/s") {
		t.Errorf("got %+v", res)
	}
}

func TestWhatIsTooEarlyFailsWithOverError(t *testing.T) {
	n := nodetest.Must(t, throttle.Type(), "throttle: { rate: 2/s, over: error }\n")
	now := nodetest.Clock
	n.Env.Now = func() time.Time { return now }
	for range 2 {
		if res := n.Process(t, n.Message("1")); res.Err != nil || len(res.Out) != 1 {
			t.Errorf("%+v", res)
		}
	}
	wantThrottled(t, n.Process(t, n.Message("1")))
	now = now.Add(time.Second / 2)
	if res := n.Process(t, n.Message("1")); res.Err != nil || len(res.Out) != 1 {
		t.Errorf("%+v", res)
	}
	wantThrottled(t, n.Process(t, n.Message("1")))
}

func TestByGivesEachTextARateOfItsOwn(t *testing.T) {
	n := nodetest.Must(t, throttle.Type(), "throttle: { rate: 2/s, by: body.tenant, over: error }\n")
	for _, tenant := range []string{`"a"`, `"b"`, "3"} {
		body := fmt.Sprintf(`{"tenant":%s}`, tenant)
		for range 2 {
			if res := n.Process(t, n.Message(body)); res.Err != nil {
				t.Errorf("%+v", res)
			}
		}
		wantThrottled(t, n.Process(t, n.Message(body)))
	}
	var e *flow.Error
	if res := n.Process(t, n.Message(`{}`)); !errors.As(res.Err, &e) || e.Code != flow.CodeExpression {
		t.Errorf("without a tenant: %+v", res)
	}
}

func TestWhatIsTooEarlyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodetest.Must(t, throttle.Type(), "throttle: { rate: 2/s }\n")
		n.Env.Now = time.Now
		start := time.Now()
		for i, want := range []time.Duration{0, 0, time.Second / 2, time.Second, 3 * time.Second / 2} {
			if res := n.Process(t, n.Message("1")); res.Err != nil || len(res.Out) != 1 {
				t.Fatalf("%+v", res)
			}
			if took := time.Since(start); took != want {
				t.Errorf("message %d passed after %s", i, took)
			}
		}
	})
}

func TestAStopEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := nodetest.Must(t, throttle.Type(), "throttle: { rate: 1/h, over: wait }\n")
		n.Env.Now = time.Now
		n.Process(t, n.Message("1"))
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		m, e := n.Message("2"), &flow.Emitter{}
		e.Bind(ctx, nil)
		e.Reset(m)
		err := flow.AsError(n.Processor.Process(m, e), flow.Poison, flow.CodePanic)
		if err == nil || err.Class != flow.Transient || len(e.Emitted) != 0 {
			t.Errorf("%v, %d emitted", err, len(e.Emitted))
		}
	})
}

func TestMistakesInAThrottleAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"throttle: {}\n": "missing-key", "throttle: { rate: fast }\n": "bad-value", "throttle: { rate: 0/s }\n": "bad-value", "throttle: 100/s\n": "wrong-type",
		"throttle: { rate: 1/s, over: drop }\n": "bad-value", "throttle: { rate: 1/s, by: [1] }\n": "unquoted-braces", "throttle: { rate: 1/s, by: bdy }\n": "unknown-name",
	} {
		_, findings := nodetest.Build(t, throttle.Type(), text)
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: got %q, want %s", text, findings, want)
		}
	}
}
