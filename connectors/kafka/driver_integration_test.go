//go:build integration

package kafka

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func TestWhatTheStockDriverHandsOutAgainIsStillWhole(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	produceAll(t, brokers, &kgo.Record{Topic: topic, Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}})
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s, driver: watermill}",
		brokers, topic, topic)), in)
	for _, end := range []flow.End{flow.Open, flow.Open, flow.Delivered} {
		in.waitFor(t, 1)
		batches := in.take()
		r := &batches[0].Records[0]
		if string(r.Key) != "k" || r.Body != nil || len(r.Headers) != 1 || r.Headers[0].Name != "h" || r.Offset != 0 || r.Topic != topic || r.Time == 0 {
			t.Errorf("got %+v", r)
		}
		settle(run.source, batches, func(*flow.Record) flow.End { return end })
	}
	run.close(t)
}
