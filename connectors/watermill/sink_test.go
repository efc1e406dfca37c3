package watermill

import (
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// failing is a Publisher that refuses some payloads.
type failing map[string]error

func (f failing) Publish(_ string, messages ...*message.Message) error {
	return f[string(messages[0].Payload)]
}

func (failing) Close() error { return nil }

func TestErrorsOfPublishPassUnlessClassifySaysOtherwise(t *testing.T) {
	bad, away := errors.New("bad"), errors.New("away")
	classify := func(err error) error {
		if errors.Is(err, bad) {
			return flow.Errorf(flow.Permanent, flow.CodeRefused, "%w", err)
		}
		return err
	}
	for _, test := range []struct {
		name      string
		classify  func(error) error
		want      []flow.Class
		published []bool
	}{
		{"without", nil, []flow.Class{0, flow.Transient, flow.Transient, flow.Transient, flow.Transient}, []bool{true, false, false, false, false}},
		{"with", classify, []flow.Class{0, flow.Permanent, 0, flow.Transient, flow.Transient}, []bool{true, false, true, false, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := NewSink(failing{"bad": bad, "away": away}, nil, test.classify)
			outs, err := connectortest.Outgoings(&preparer{constant: "topic"}, "1", "bad", "2", "away", "3")
			if err != nil {
				t.Fatal(err)
			}
			if err := connectortest.Send(t.Context(), s, outs); err != nil {
				t.Fatal(err)
			}
			for i, o := range outs {
				e := flow.AsError(o.Err, flow.Transient, flow.CodeUnavailable)
				if (e == nil) != test.published[i] || e != nil && e.Class != test.want[i] {
					t.Errorf("%s: %v", o.Body, o.Err)
				}
			}
		})
	}
}
