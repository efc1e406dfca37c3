package call_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

// enriched leads lines through a pipeline that asks a server about each, and returns what comes out.
func enriched(t testing.TB, url string, concurrency int, in string) string {
	t.Helper()
	var out bytes.Buffer
	registry := &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(strings.NewReader(in), &out)}
	file := fmt.Sprintf(`name: x
from: { stdin: {} }
steps:
  - call:
      http: { url: "%s/{{ body.n }}", concurrency: %d }
      into: tmp.answer
    on_error: { retry: { backoff: 1ms..2ms } }
  - transform:
      body.answer: tmp.answer.body
to: { stdout: {} }
`, url, concurrency)
	p, findings := pipelines.Compile("x.yaml", []byte(file), pipelines.Options{Registry: registry})
	if p == nil {
		t.Fatalf("%+v", findings.All())
	}
	e, err := engine.New(engine.Options{Logger: slog.New(slog.DiscardHandler)}).Start(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	<-e.Done()
	if err := e.Err(); err != nil || !e.Balance().Even() {
		t.Fatalf("%v, %+v", err, e.Balance())
	}
	return out.String()
}

func lines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestMessagesAreAskedAboutSideBySideAndLeaveInOrder(t *testing.T) {
	const all, concurrency = 200, 16
	var seen, now, most atomic.Int32
	together := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if n := seen.Add(1); n == concurrency {
			close(together) // without these side by side, the first one would get no answer
		} else if n < concurrency {
			select {
			case <-together:
			case <-r.Context().Done():
			}
		}
		time.Sleep(rand.N(5 * time.Millisecond))
		if seen.Load()%20 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	defer s.Close()
	got := enriched(t, s.URL, concurrency, lines(all, "{\"n\":%d}\n"))
	if diff := cmp.Diff(lines(all, "{\"n\":%d,\"answer\":\"/%[1]d\"}\n"), got); diff != "" {
		t.Error(diff)
	}
	if n := most.Load(); n > concurrency {
		t.Errorf("%d requests at a time", n)
	}
}

func TestSecretsMayStandInHeadersAndNowhereElse(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	defer s.Close()
	compile := func(url, header string) (*pipelines.Program, string) {
		registry := &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(strings.NewReader("{}\n"), io.Discard)}
		file := fmt.Sprintf("name: x\nenv: { TOKEN: { secret: true } }\nfrom: { stdin: {} }\nsteps:\n  - call:\n      http: { url: %q, headers: { authorization: %q } }\n      into: tmp.a\nto: { stdout: {} }\n", url, header)
		p, findings := pipelines.Compile("x.yaml", []byte(file), pipelines.Options{Registry: registry, Env: pipelines.EnvFunc(func(name string) (string, bool) { return "s3cret-token", name == "TOKEN" })})
		var b bytes.Buffer
		for _, f := range findings.All() {
			fmt.Fprintf(&b, "%s: %s\n", f.Code, f.Message)
		}
		return p, b.String()
	}
	p, findings := compile(s.URL, "Bearer ${TOKEN}")
	if p == nil {
		t.Fatal(findings)
	}
	e, err := engine.New(engine.Options{Logger: slog.New(slog.DiscardHandler)}).Start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	<-e.Done()
	if got != "Bearer s3cret-token" {
		t.Errorf("the header is %q", got)
	}
	if p, findings := compile(s.URL+"/${TOKEN}", "x"); p != nil || !strings.Contains(findings, "secret-shown") || strings.Contains(findings, "s3cret") {
		t.Errorf("in the URL: %s", findings)
	}
}

// BenchmarkCall is 200 messages, each asking a server that takes 20 ms.
func BenchmarkCall(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"x":1}`)
	}))
	defer s.Close()
	for _, concurrency := range []int{1, 16} {
		b.Run(fmt.Sprint(concurrency), func(b *testing.B) {
			in := lines(200, "{\"n\":%d}\n")
			for b.Loop() {
				enriched(b, s.URL, concurrency, in)
			}
		})
	}
}
