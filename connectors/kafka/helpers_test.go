package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
)

// TestMain looks for goroutines that are left. The stock driver's client has one for all clients that never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

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

// fetchCommitted reads the committed records of a topic: n of them, and what comes within a second after that.
func fetchCommitted(t *testing.T, brokers, topic string, n int) []*kgo.Record {
	t.Helper()
	client := plainClient(t, brokers, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	var all []*kgo.Record
	for wait := patience; ; {
		if len(all) >= n {
			wait = time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		fs := client.PollFetches(ctx)
		cancel()
		if fs.NumRecords() == 0 {
			if len(all) < n {
				t.Fatalf("%d of %d records: %v", len(all), n, fs.Err())
			}
			return all
		}
		all = append(all, fs.Records()...)
	}
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

// noMistakes ends the test when something is wrong with a configuration; the passwords of tests may stand in it.
func noMistakes(t *testing.T, findings []string) {
	t.Helper()
	for _, f := range findings {
		if f != literalPassword {
			t.Fatal(findings)
		}
	}
}

func openSource(t *testing.T, host flow.Host, text string) (flow.Source, error) {
	t.Helper()
	cfg := &Source{}
	var built config.Source
	_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSource(b) })
	noMistakes(t, findings)
	return built.Open(t.Context(), host)
}

func openSink(t *testing.T, host flow.Host, text string) (flow.Sink, flow.Preparer, error) {
	t.Helper()
	cfg := &Sink{}
	var built config.Sink
	b, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	noMistakes(t, findings)
	s, err := built.Open(t.Context(), host)
	return s, bound{built.Preparer, b.Scope.Paths}, err
}

// bound is a preparer with the body paths that its templates read.
type bound struct {
	flow.Preparer
	paths *document.Paths
}

// prepare makes an outgoing message of a record as it comes from a connector.
func prepare(p flow.Preparer, connector string, r flow.Record) (*flow.Outgoing, error) {
	paths := document.NewPaths()
	if b, ok := p.(bound); ok {
		paths = b.paths
	} else {
		paths.Freeze()
	}
	m := &flow.Message{}
	m.Open(&flow.Env{Source: "in", Connector: connector, Paths: paths, Now: time.Now},
		&flow.Batch{Records: []flow.Record{r}, Arrived: time.Now().UnixNano()}, 0)
	o := &flow.Outgoing{}
	o.Fill(m, r.Body)
	return o, p.Prepare(m, o)
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
	// gate, unless nil, makes each Push wait until it is closed.
	gate chan struct{}
}

func newIntake() *intake { return &intake{pushed: make(chan struct{}, 1<<16)} }

func (i *intake) Push(ctx context.Context, b *flow.Batch) error {
	if i.block != "" && b.Lane.Name == i.block {
		<-ctx.Done()
	}
	if i.gate != nil {
		select {
		case <-i.gate:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	n := len(b.Records) // they are the source's again once they are settled
	i.mu.Lock()
	i.batches = append(i.batches, b)
	i.mu.Unlock()
	for range n {
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

// seen counts what several members were given.
type seen struct {
	mu     sync.Mutex
	counts map[string]int
	by     map[string]int
}

// settling is an intake that settles everything.
type settling struct {
	source flow.Source
	seen   *seen
	name   string
}

func (s *settling) Push(ctx context.Context, b *flow.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.seen.mu.Lock()
	for k := range b.Records {
		s.seen.counts[string(b.Records[k].Body)]++
	}
	s.seen.by[s.name] += len(b.Records)
	s.seen.mu.Unlock()
	go settle(s.source, []*flow.Batch{b}, delivered)
	return nil
}

// wait waits until so many different records were seen.
func (s *seen) wait(t *testing.T, n int) {
	t.Helper()
	s.until(t, func() bool { return len(s.counts) >= n })
}

// of is how many a member has been given.
func (s *seen) of(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[name]
}

func (s *seen) until(t *testing.T, enough func() bool) {
	t.Helper()
	late := time.Now().Add(patience)
	for {
		s.mu.Lock()
		ok := enough()
		s.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%d records were seen, by member %v", len(s.counts), s.by)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// selectionOf reads the option topics, and gives the findings as one text.
func selectionOf(t *testing.T, topics string) (s *selection, findings string) {
	t.Helper()
	cfg := &Source{}
	_, all := connectortest.Build(t, "{brokers: ['h:1'], group: g, topics: "+topics+"}", cfg, func(b *config.Builder) { s = selectTopics(b, cfg.Topics) })
	return s, strings.Join(all, "\n")
}
