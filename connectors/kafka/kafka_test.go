package kafka

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func TestSourceKeepsTheContract(t *testing.T) {
	_, brokers := fakeCluster(t, 1, "in", "idle")
	produceAll(t, brokers, numbered("in", 0, 100)...)
	group := 0
	open := func(topic string) func(t *testing.T, host *connectortest.Host) flow.Source {
		return func(t *testing.T, host *connectortest.Host) flow.Source {
			group++
			return mustSource(t, host, fmt.Sprintf("{brokers: [%q], topics: [%s], group: g%d}", brokers, topic, group))
		}
	}
	connectortest.Source(t, connectortest.SourceSuite{Open: open("in"), Want: values(0, 100), Idle: open("idle")})
}

func TestSinkKeepsTheContract(t *testing.T) {
	_, brokers := fakeCluster(t, 1, "out1", "out2")
	topic := 0
	connectortest.Sink(t, connectortest.SinkSuite{
		Open: func(t *testing.T, host *connectortest.Host) (flow.Sink, flow.Preparer, func() []string) {
			topic++
			name := fmt.Sprintf("out%d", topic)
			s, p, err := openSink(t, host, fmt.Sprintf("{brokers: [%q], topic: %s}", brokers, name))
			if err != nil {
				t.Fatal(err)
			}
			return s, p, func() []string {
				var all []string
				if topic == 2 {
					return nil
				}
				for _, r := range fetchAll(t, brokers, name, 500) {
					all = append(all, string(r.Value))
				}
				return all
			}
		},
	})
}

func TestARefusedBatchIsTriedRecordByRecord(t *testing.T) {
	c, brokers := fakeCluster(t, 1, "out")
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r, ok := req.(*kmsg.ProduceRequest)
		if !ok {
			return nil, nil, false
		}
		c.KeepControl()
		batch := kmsg.RecordBatch{}
		if err := batch.ReadFrom(r.Topics[0].Partitions[0].Records); err != nil || !bytes.Contains(batch.Records, []byte("bad")) {
			return nil, nil, false
		}
		return produceError(r, kerr.InvalidRecord.Code), nil, true
	})
	host := connectortest.NewHost(t)
	s, p := mustSink(t, host, fmt.Sprintf("{brokers: [%q], topic: out}", brokers))
	outs, err := connectortest.Outgoings(p, "good 1", "bad", "good 2")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	for _, o := range outs {
		wantError(t, o.Err, flow.Transient, flow.CodeRefused)
	}
	for _, o := range outs {
		send(t, s, o)
	}
	wantError(t, outs[1].Err, flow.Permanent, flow.CodeRefused)
	got := []string{}
	for _, r := range fetchAll(t, brokers, "out", 2) {
		got = append(got, string(r.Value))
	}
	if diff := cmp.Diff([]string{"good 1", "good 2"}, got); diff != "" {
		t.Error(diff)
	}
}

func produceError(r *kmsg.ProduceRequest, code int16) kmsg.Response {
	resp, _ := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func TestABlockedLaneDoesNotStopTheOthers(t *testing.T) {
	_, brokers := fakeCluster(t, 2, "in")
	rs := numbered("in", 0, 20_000)
	for i, r := range rs {
		r.Partition = int32(i % 2)
	}
	produceAll(t, brokers, rs...)
	host := connectortest.NewHost(t)
	host.Bounds.InFlight = 40
	in := newIntake()
	in.block = "in/0"
	s := mustSource(t, host, fmt.Sprintf("{brokers: [%q], topics: [in], group: g}", brokers))
	run := start(t, s, in)
	for left := 10_000; left > 0; {
		in.waitFor(t, 1)
		for _, b := range in.take() {
			if b.Lane.Name != "in/1" {
				t.Errorf("a batch of %s", b.Lane.Name)
			}
			left -= len(b.Records)
			settle(s, []*flow.Batch{b}, delivered)
		}
	}
	run.end(t)
	run.close(t)
	if at := committedOffset(t, brokers, "g", "in", 1); at != 10_000 {
		t.Errorf("partition 1 is committed to %d, want 10000", at)
	}
	if at := committedOffset(t, brokers, "g", "in", 0); at != -1 {
		t.Errorf("partition 0 is committed to %d, want nothing", at)
	}
}

func TestUncommittedRecordsStayWithinInFlight(t *testing.T) {
	_, brokers := fakeCluster(t, 2, "in")
	rs := numbered("in", 0, 2000)
	for i, r := range rs {
		r.Partition = int32(i % 2)
	}
	produceAll(t, brokers, rs...)
	host := connectortest.NewHost(t)
	host.Bounds.InFlight = 100
	in := newIntake()
	s := mustSource(t, host, fmt.Sprintf("{brokers: [%q], topics: [in], group: g}", brokers))
	run := start(t, s, in)
	for left := 2000; left > 0; {
		in.waitFor(t, 1)
		batches := in.take()
		pushed := 2000 - left
		for _, b := range batches {
			pushed += len(b.Records)
		}
		committed := int64(0)
		for p := range int32(2) {
			committed += max(0, committedOffset(t, brokers, "g", "in", p))
		}
		// Nothing of these batches is settled, so what was committed is all that a crash now would not repeat.
		if open := int64(pushed) - committed; open > 100 {
			t.Fatalf("%d records are pushed and not committed, in_flight is 100", open)
		}
		for _, b := range batches {
			left -= len(b.Records)
			settle(s, []*flow.Batch{b}, delivered)
		}
	}
	run.end(t)
	run.close(t)
}
