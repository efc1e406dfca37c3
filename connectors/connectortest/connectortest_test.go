package connectortest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// careless is a sink and a source that does what it is told to do wrong.
type careless struct {
	send   func(outs []*flow.Outgoing, done func())
	settle func(b *flow.Batch)
}

func (c careless) Send(_ context.Context, outs []*flow.Outgoing, done func()) { c.send(outs, done) }
func (c careless) Close(context.Context) error                                { return nil }
func (c careless) Run(context.Context, flow.Intake) error                     { return nil }
func (c careless) Settle(b *flow.Batch) {
	if c.settle != nil {
		c.settle(b)
	}
}

func TestSendFindsSinksThatBreakTheContract(t *testing.T) {
	tests := []struct {
		name, want string
		send       func(outs []*flow.Outgoing, done func())
	}{
		{"a result that was forgotten", "left a result unset", func(_ []*flow.Outgoing, done func()) { done() }},
		{"two answers", "done twice", func(outs []*flow.Outgoing, done func()) {
			for _, o := range outs {
				o.Err = nil
			}
			done()
			done()
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			outs, err := connectortest.Outgoings(nil, "a", "b")
			if err != nil {
				t.Fatal(err)
			}
			if err := connectortest.Send(t.Context(), careless{send: test.send}, outs); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestTheIntakeFindsBatchesThatBreakTheContract(t *testing.T) {
	lane := flow.NewLane("lane")
	record := flow.Record{Body: []byte("x"), Attempt: 1}
	large := flow.Record{Body: make([]byte, flow.MaxBatchBytes), Attempt: 1}
	tests := []struct {
		name, want string
		batch      *flow.Batch
	}{
		{"a good one", "", &flow.Batch{Lane: lane, Arrived: 1, Records: []flow.Record{record}}},
		{"a large record last", "", &flow.Batch{Lane: lane, Arrived: 1, Records: []flow.Record{record, large}}},
		{"no lane", "without a lane", &flow.Batch{Arrived: 1, Records: []flow.Record{record}}},
		{"no records", "0 records", &flow.Batch{Lane: lane, Arrived: 1}},
		{"too many records", "513 records", &flow.Batch{Lane: lane, Arrived: 1, Records: make([]flow.Record, 513)}},
		{"no arrival", "when it arrived", &flow.Batch{Lane: lane, Records: []flow.Record{record}}},
		{"no attempt", "attempt 0", &flow.Batch{Lane: lane, Arrived: 1, Records: []flow.Record{{}}}},
		{"too many bytes", "bytes in 3 records", &flow.Batch{Lane: lane, Arrived: 1, Records: []flow.Record{large, large, record}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := &connectortest.Intake{Source: careless{}}
			if err := in.Push(t.Context(), test.batch); err != nil {
				t.Fatal(err)
			}
			switch err := in.Offence(); {
			case test.want == "" && err != nil:
				t.Errorf("found %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	held := &connectortest.Intake{Source: careless{}, Held: true}
	again := &flow.Batch{Lane: lane, Arrived: 1, Records: []flow.Record{record}}
	for range 2 {
		if err := held.Push(t.Context(), again); err != nil {
			t.Fatal(err)
		}
	}
	if held.Offence() == nil {
		t.Error("a batch that was pushed twice was not found")
	}
}

func TestTheIntakeSettlesEachBatchOnce(t *testing.T) {
	var settled []flow.End
	in := &connectortest.Intake{Held: true, Source: careless{settle: func(b *flow.Batch) { settled = append(settled, b.Records[0].End()) }}}
	for range 2 {
		b := &flow.Batch{Lane: flow.NewLane("lane"), Arrived: 1, Records: []flow.Record{{Attempt: 1}}}
		if err := in.Push(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	in.SettleAll()
	in.SettleAll()
	if len(settled) != 2 || settled[0] != flow.Delivered {
		t.Errorf("settled %v", settled)
	}
}
