package amqp

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait. Nothing that works comes near it.
const patience = 60 * time.Second

func openSource(t testing.TB, host flow.Host, text string) (flow.Source, error) {
	t.Helper()
	cfg := &Source{}
	var built config.Source
	_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSource(b) })
	noFindings(t, findings)
	return built.Open(t.Context(), host)
}

func openSink(t testing.TB, host flow.Host, text string) (flow.Sink, flow.Preparer, error) {
	t.Helper()
	cfg := &Sink{}
	var built config.Sink
	b, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	noFindings(t, findings)
	s, err := built.Open(t.Context(), host)
	return s, bound{built.Preparer, b.Scope.Paths}, err
}

// noFindings fails on every finding but the one about the password of a broker that is there for tests.
func noFindings(t testing.TB, findings []string) {
	t.Helper()
	for _, f := range findings {
		if !strings.HasPrefix(f, "literal-secret:") {
			t.Fatal(f)
		}
	}
}

// bound is a preparer with the body paths that its templates read.
type bound struct {
	flow.Preparer
	paths *document.Paths
}

// prepare makes an outgoing message of a record as it comes from the connector itself.
func prepare(p flow.Preparer, r flow.Record) (*flow.Outgoing, error) {
	paths := document.NewPaths()
	if b, ok := p.(bound); ok {
		paths = b.paths
	} else {
		paths.Freeze()
	}
	m := &flow.Message{}
	m.Open(&flow.Env{Source: "in", Connector: "amqp", Paths: paths, Now: time.Now},
		&flow.Batch{Records: []flow.Record{r}, Arrived: time.Now().UnixNano()}, 0)
	o := &flow.Outgoing{}
	o.Fill(m, r.Body)
	return o, p.Prepare(m, o)
}

func prepareBodies(p flow.Preparer, bodies ...string) (outs []*flow.Outgoing, err error) {
	for _, body := range bodies {
		o, err := prepare(p, flow.Record{Body: []byte(body)})
		if err != nil {
			return nil, err
		}
		outs = append(outs, o)
	}
	return outs, nil
}

func mustSource(t testing.TB, host flow.Host, text string) flow.Source {
	t.Helper()
	s, err := openSource(t, host, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSink(t testing.TB, host flow.Host, text string) (flow.Sink, flow.Preparer) {
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

func send(t testing.TB, s flow.Sink, outs ...*flow.Outgoing) {
	t.Helper()
	if err := connectortest.Send(t.Context(), s, outs); err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, err error, class flow.Class, code flow.Code) {
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
}

func newIntake() *intake { return &intake{pushed: make(chan struct{}, 1<<17)} }

func (i *intake) Push(ctx context.Context, b *flow.Batch) error {
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
func (i *intake) waitFor(t testing.TB, n int) {
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

func records(batches []*flow.Batch) []*flow.Record {
	var all []*flow.Record
	for _, b := range batches {
		for k := range b.Records {
			all = append(all, &b.Records[k])
		}
	}
	return all
}

func bodies(batches []*flow.Batch) []string {
	all := []string{}
	for _, r := range records(batches) {
		all = append(all, string(r.Body))
	}
	return all
}

// running is a source whose Run is under way.
type running struct {
	source flow.Source
	stop   context.CancelFunc
	ended  chan error
}

func start(t testing.TB, s flow.Source, in flow.Intake) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{source: s, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx, in) }()
	t.Cleanup(cancel)
	return r
}

// end stops Run.
func (r *running) end(t testing.TB) {
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

func (r *running) close(t testing.TB) {
	t.Helper()
	r.end(t)
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
