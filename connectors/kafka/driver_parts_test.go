//go:build integration

package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

func TestTheStockDriverWritesWhatOurClientWrites(t *testing.T) {
	brokers := realBrokers(t)
	var records []flow.Record
	for n := range 40 {
		records = append(records, flow.Record{
			Key: fmt.Append(nil, "key-", n), Body: fmt.Append(nil, n), Time: int64(n+1) * int64(time.Hour),
			Headers: []flow.Header{flow.TextHeader("twice", "1"), flow.TextHeader("twice", "2"), {Name: "raw", Value: value.Bytes([]byte{0xff, 0})}},
		})
	}
	records = append(records, flow.Record{Key: []byte("nothing"), Time: int64(time.Hour)}) // a tombstone
	written := map[string][]*kgo.Record{}
	for _, driver := range []string{"native", "watermill"} {
		topic := freshTopic(t, brokers, 5)
		s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s, driver: %s}", brokers, topic, driver))
		var outs []*flow.Outgoing
		for _, r := range records {
			o, err := prepare(p, "kafka", r)
			if err != nil {
				t.Fatal(err)
			}
			outs = append(outs, o)
		}
		send(t, s, outs...)
		for _, o := range outs {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		written[driver] = fetchAll(t, brokers, topic, len(records))
	}
	stock := written["watermill"]
	for _, r := range stock {
		last := len(r.Headers) - 1
		if last < 0 || r.Headers[last].Key != watermill.UUIDHeader || len(r.Headers[last].Value) == 0 {
			t.Fatalf("a record without a UUID: %v", r.Headers)
		}
		if r.Headers = r.Headers[:last]; last == 0 {
			r.Headers = nil
		}
	}
	diff := cmp.Diff(written["native"], stock, cmpopts.IgnoreUnexported(kgo.Record{}), cmpopts.IgnoreFields(kgo.Record{}, "Topic", "Attrs", "ProducerID",
		"ProducerEpoch", "Offset", "LeaderEpoch", "Context"), cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b *kgo.Record) bool { return string(a.Key) < string(b.Key) }))
	if diff != "" {
		t.Error(diff)
	}
}

func TestTheStockDriverHasOneRecordOfAPartitionUnderWay(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 2)
	produceAll(t, brokers, inTurn(topic, 20, 2)...)
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topics: [%s], group: %[2]s, driver: watermill}", brokers, topic)), in)
	for n := range 10 {
		in.waitFor(t, 2)
		batches := in.take()
		if len(batches) != 2 || batches[0].Lane == batches[1].Lane {
			t.Fatalf("%d batches are under way", len(batches))
		}
		for _, b := range batches {
			if len(b.Records) != 1 || b.Records[0].Offset != int64(n) || b.Records[0].Time == 0 || len(b.Records[0].Key) == 0 {
				t.Errorf("got %+v", b.Records)
			}
		}
		settle(run.source, batches, delivered)
	}
	run.end(t)
	run.close(t)
}
