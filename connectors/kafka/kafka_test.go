package kafka

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
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
		if batch.ReadFrom(r.Topics[0].Partitions[0].Records) != nil || !bytes.Contains(batch.Records, []byte("bad")) {
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

func TestOffsetsThatGoBackAreCommitted(t *testing.T) {
	host := connectortest.NewHost(t)
	s := newSource(host, cluster{}, Source{}, &selection{})
	s.reading = t.Context()
	p := newPartition(s, "in", 0)
	pass := func(offset int64) (at int64, ok bool) {
		p.take([]*kgo.Record{{Topic: "in", Offset: offset}})
		f := p.cut()
		if err := p.exposure.take(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		f.batch.Records[0].Finish(flow.Delivered)
		p.settle(f)
		upTo, ok := p.uncommitted()
		p.wasCommitted(upTo)
		return upTo.at.Offset, ok
	}
	// The topic is made anew after the second record; the fourth record has the offset that is committed.
	for _, offset := range []int64{7, 8, 7, 8, 0} {
		if at, ok := pass(offset); !ok || at != offset+1 {
			t.Errorf("behind offset %d: commit %v of %d", offset, ok, at)
		}
	}
	if _, ok := p.uncommitted(); ok {
		t.Error("there is something to commit twice")
	}
	if p.exposure.n != 0 {
		t.Errorf("%d records count as not committed", p.exposure.n)
	}
}

func TestWhatIsReadAheadStaysWithinInFlightBytes(t *testing.T) {
	for _, test := range []struct {
		limit               int64
		brokers, partitions int
	}{
		{32 << 20, 1, 1}, {32 << 20, 3, 12}, {32 << 20, 6, 200}, {1 << 20, 1, 6}, {1 << 30, 3, 50},
	} {
		host := connectortest.NewHost(t)
		host.Bounds.InFlightBytes = test.limit
		s := newSource(host, cluster{}, Source{}, &selection{})
		s.brokers, s.partitionsAll = test.brokers, test.partitions
		s.assignedNow.Store(int32(test.partitions))
		whole, partition := s.fetchSizes()
		ahead := int64(test.brokers)*int64(whole) + int64(test.partitions)*(s.queueShare()+int64(partition))
		if ahead > test.limit {
			t.Errorf("%+v: %d bytes are read ahead", test, ahead)
		}
		if whole < minFetch || partition > whole || s.queueShare() < 1 {
			t.Errorf("%+v: fetches of %d and %d bytes, queues of %d", test, whole, partition, s.queueShare())
		}
	}
}

func TestManyPartitionsTogetherQueueNoMoreThanInFlightBytes(t *testing.T) {
	const partitions = 32
	_, brokers := fakeCluster(t, partitions, "in")
	var rs []*kgo.Record
	for i := range 1600 {
		rs = append(rs, &kgo.Record{Topic: "in", Partition: int32(i % partitions), Value: bytes.Repeat([]byte("x"), 10_000)})
	}
	client := plainClient(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(16<<10),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := client.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	host := connectortest.NewHost(t)
	host.Bounds.InFlightBytes = 4 << 20
	in := newIntake()
	in.gate = make(chan struct{})
	s, ok := mustSource(t, host, fmt.Sprintf("{brokers: [%q], topics: [in], group: g}", brokers)).(*source)
	if !ok || s.partitionsAll != partitions || s.brokers != 1 {
		t.Fatalf("%d partitions of %d brokers", s.partitionsAll, s.brokers)
	}
	run := start(t, s, in)
	queued := int64(0)
	late := time.Now().Add(patience)
	for paused := 0; paused < partitions; time.Sleep(time.Millisecond) {
		queued, paused = 0, 0
		for _, p := range s.all() {
			p.mu.Lock()
			queued += p.bytes
			if p.paused {
				paused++
			}
			p.mu.Unlock()
		}
		if time.Now().After(late) {
			t.Fatalf("%d partitions are paused, with %d bytes queued", paused, queued)
		}
	}
	if queued > host.Bounds.InFlightBytes/2 {
		t.Errorf("%d bytes are queued", queued)
	}
	close(in.gate)
	for left := len(rs); left > 0; {
		in.waitFor(t, 1)
		for _, b := range in.take() {
			left -= len(b.Records)
			settle(s, []*flow.Batch{b}, delivered)
		}
	}
	run.end(t)
	run.close(t)
}

func TestEachPipelineHasAProducerOfItsOwn(t *testing.T) {
	_, brokers := fakeCluster(t, 1, "out")
	host := connectortest.NewHost(t)
	text := fmt.Sprintf("{brokers: [%q], topic: out}", brokers)
	mustOpen := func() flow.Sink {
		s, _, err := openSink(t, host, text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, next := mustOpen(), mustOpen()
	if n := host.Shared(); n != 1+1 { // and the gates
		t.Errorf("two revisions of a pipeline have %d producers", n-1)
	}
	host.PipelineName = "other"
	b := mustOpen()
	if n := host.Shared(); n != 2+1 {
		t.Errorf("two pipelines have %d producers", n-1)
	}
	for _, s := range []flow.Sink{a, next, b} {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if n := host.Shared(); n != 0 {
		t.Errorf("%d producers are left", n)
	}
}
