package connectortest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
)

// SinkSuite says how to open a sink for Sink.
type SinkSuite struct {
	// Open opens a sink with its preparer. delivered gives the payloads that have arrived so far, in order.
	Open func(t *testing.T, host *Host) (s flow.Sink, prepare flow.Preparer, delivered func() []string)
}

// Sink holds a sink to the contract of flow.Sink.
func Sink(t *testing.T, suite SinkSuite) {
	t.Run("messages arrive in order, each confirmed once", func(t *testing.T) {
		s, prepare, delivered := suite.Open(t, NewHost(t))
		var want []string
		for batch := range 5 {
			var bodies []string
			for i := range 100 {
				bodies = append(bodies, fmt.Sprintf(`{"n":%d}`, batch*100+i))
			}
			want = append(want, bodies...)
			suite.send(t, s, prepare, bodies)
		}
		if diff := cmp.Diff(want, delivered()); diff != "" {
			t.Error(diff)
		}
		closeTwice(t, s.Close)
	})
	t.Run("nothing is sent once the context is done", func(t *testing.T) {
		s, prepare, delivered := suite.Open(t, NewHost(t))
		outs, err := Outgoings(prepare, `{"n":1}`, `{"n":2}`)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := Send(ctx, s, outs); err != nil {
			t.Error(err)
		}
		arrived := delivered()
		for i, o := range outs {
			if o.Err == nil && len(arrived) <= i {
				t.Errorf("message %d is confirmed and has not arrived", i)
			}
			if o.Err != nil && flow.AsError(o.Err, flow.Transient, flow.CodeUnavailable).Class != flow.Transient {
				t.Errorf("message %d: %v is not transient", i, o.Err)
			}
		}
		closeTwice(t, s.Close)
	})
}

func (suite SinkSuite) send(t *testing.T, s flow.Sink, prepare flow.Preparer, bodies []string) {
	t.Helper()
	outs, err := Outgoings(prepare, bodies...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := Send(ctx, s, outs); err != nil {
		t.Fatal(err)
	}
	for i, o := range outs {
		if o.Err != nil {
			t.Fatalf("message %d: %v", i, o.Err)
		}
	}
}
