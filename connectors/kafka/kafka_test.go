package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait. Nothing that works comes near it.
const patience = 40 * time.Second

func fakeCluster(t *testing.T, partitions int32, topics ...string) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()[0]
}

// plainClient is a client for the test itself.
func plainClient(t *testing.T, brokers string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers), kgo.DisableClientMetrics()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func produceAll(t *testing.T, brokers string, records ...*kgo.Record) {
	t.Helper()
	client := plainClient(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// fetchAll reads n records of a topic from its beginning.
func fetchAll(t *testing.T, brokers, topic string, n int) []*kgo.Record {
	t.Helper()
	client := plainClient(t, brokers, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fs := client.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("%d of %d records: %v", len(all), n, err)
		}
		all = append(all, fs.Records()...)
	}
	return all
}

func numbered(topic string, from, to int) []*kgo.Record {
	var all []*kgo.Record
	for i := from; i < to; i++ {
		all = append(all, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d", i)})
	}
	return all
}

func values(from, to int) []string {
	all := []string{}
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func openSource(t *testing.T, host flow.Host, text string) (flow.Source, error) {
	t.Helper()
	cfg := &Source{}
	var built config.Source
	_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSource(b) })
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	return built.Open(t.Context(), host)
}

func openSink(t *testing.T, host flow.Host, text string) (flow.Sink, flow.Preparer, error) {
	t.Helper()
	cfg := &Sink{}
	var built config.Sink
	_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	s, err := built.Open(t.Context(), host)
	return s, built.Preparer, err
}

func mustSource(t *testing.T, host flow.Host, text string) flow.Source {
	t.Helper()
	s, err := openSource(t, host, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSink(t *testing.T, host flow.Host, text string) (flow.Sink, flow.Preparer) {
	t.Helper()
	s, p, err := openSink(t, host, text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, p
}

func send(t *testing.T, s flow.Sink, outs ...*flow.Outgoing) {
	t.Helper()
	if err := connectortest.Send(t.Context(), s, outs); err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, class flow.Class, code flow.Code) {
	t.Helper()
	var e *flow.Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v, want a *flow.Error", err)
	}
	if e.Class != class || e.Code != code {
		t.Errorf("the error is %s %s (%v), want %s %s", e.Class, e.Code, e, class, code)
	}
}

// intake takes batches and leaves their settling to the test.
type intake struct {
	mu      sync.Mutex
	batches []*flow.Batch
	pushed  chan struct{}
	// block makes Push of that lane wait for its context.
	block string
}

func newIntake() *intake { return &intake{pushed: make(chan struct{}, 1<<16)} }

func (i *intake) Push(ctx context.Context, b *flow.Batch) error {
	if i.block != "" && b.Lane.Name == i.block {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	i.mu.Lock()
	i.batches = append(i.batches, b)
	i.mu.Unlock()
	for range b.Records {
		i.pushed <- struct{}{}
	}
	return nil
}

// waitFor waits until n more records were pushed.
func (i *intake) waitFor(t *testing.T, n int) {
	t.Helper()
	late := time.After(patience)
	for k := range n {
		select {
		case <-i.pushed:
		case <-late:
			t.Fatalf("%d of %d records were pushed", k, n)
		}
	}
}

func (i *intake) take() []*flow.Batch {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := i.batches
	i.batches = nil
	return all
}

// running is a source whose Run is under way.
type running struct {
	source flow.Source
	stop   context.CancelFunc
	ended  chan error
}

func start(t *testing.T, s flow.Source, in flow.Intake) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{source: s, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx, in) }()
	t.Cleanup(cancel)
	return r
}

// end stops Run.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run did not return")
	}
}

func (r *running) close(t *testing.T) {
	t.Helper()
	if err := r.source.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func settle(s flow.Source, batches []*flow.Batch, end func(r *flow.Record) flow.End) {
	for _, b := range batches {
		for k := range b.Records {
			b.Records[k].Finish(end(&b.Records[k]))
		}
		s.Settle(b)
	}
}

func delivered(*flow.Record) flow.End { return flow.Delivered }

// committedOffset is what the group has committed for partition 0 of a topic; -1 is nothing.
func committedOffset(t *testing.T, brokers, group, topic string, partition int32) int64 {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{partition}
	req.Topics = append(req.Topics, rt)
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.Partitions = topic, []int32{partition}
	g.Topics = append(g.Topics, gt)
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(t.Context(), plainClient(t, brokers))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range resp.Groups {
		for _, rt := range g.Topics {
			for _, p := range rt.Partitions {
				return p.Offset
			}
		}
	}
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			return p.Offset
		}
	}
	return -1
}

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
