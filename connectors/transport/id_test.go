package transport_test

import (
	"testing"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
)

func TestOnlyWhatSplitMadeHasAnIDOfItsOwn(t *testing.T) {
	paths := document.NewPaths()
	paths.Freeze()
	for id, want := range map[string]string{"": "amqp:q@7/2/out", "m-1": "m-1/2/out"} {
		m := &flow.Message{}
		m.Open(&flow.Env{Connector: "amqp", Paths: paths}, &flow.Batch{Records: []flow.Record{
			{ID: id, Topic: "q", Offset: 7, Partition: flow.NoPartition},
		}}, 0)
		if got := transport.DerivedID(m, "out"); got != "" {
			t.Errorf("the record itself has %q", got)
		}
		m.ExtendID(2)
		if got := transport.DerivedID(m, "out"); got != want {
			t.Errorf("its element has %q, want %q", got, want)
		}
	}
}
