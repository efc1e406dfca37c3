package http_test

import (
	"context"
	"fmt"
	"log/slog"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/pipelines"
)

// load are clients that each send their next request once the last one is answered with 200, until they are told to stop.
type load struct {
	rig     *rig
	client  *nethttp.Client
	stop    chan struct{}
	clients sync.WaitGroup
	sent    atomic.Int64
	refused atomic.Int64
}

func (r *rig) load(clients int) *load {
	l := &load{rig: r, stop: make(chan struct{}), client: &nethttp.Client{
		Transport: &nethttp.Transport{MaxIdleConnsPerHost: clients}, Timeout: patience,
	}}
	for k := range clients {
		l.clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				if !l.send(request{body: fmt.Sprintf(`{"n":"%d:%d"}`, k, n)}) {
					return
				}
			}
		})
	}
	return l
}

// send sends a request until it is answered with 200.
func (l *load) send(q request) bool {
	got, err := l.rig.try(l.client, q)
	for ; err == nil && got.status == 503; got, err = l.rig.try(l.client, q) {
		l.refused.Add(1)
		time.Sleep(time.Millisecond)
	}
	if err != nil || got.status != 200 {
		l.rig.t.Errorf("%+v: %+v, %v", q, got, err)
		return false
	}
	l.sent.Add(1)
	return true
}

// more waits until n more requests have been answered.
func (l *load) more(n int64) {
	from := l.sent.Load()
	eventually(l.rig.t, "requests are answered", func() bool { return l.sent.Load() >= from+n })
}

// halt stops the clients.
func (l *load) halt() {
	close(l.stop)
	l.clients.Wait()
	l.client.CloseIdleConnections()
}

// end stops the clients and looks whether each message is there, once, and nobody was refused.
func (l *load) end(file string) {
	l.halt()
	seen := map[string]int{}
	for _, line := range l.rig.lines(file) {
		seen[line]++
	}
	if n := l.refused.Load(); n > 0 {
		l.rig.t.Errorf("%d requests were refused", n)
	}
	if int64(len(seen)) != l.sent.Load() {
		l.rig.t.Errorf("%d requests were answered with 200, %d arrived", l.sent.Load(), len(seen))
	}
	for line, n := range seen {
		if n != 1 {
			l.rig.t.Errorf("%s arrived %d times", line, n)
		}
	}
}

func (r *rig) fleet() func(text string) fleet.Step {
	f := fleet.New(r.engine, fleet.Options{Logger: slog.New(slog.DiscardHandler)})
	return func(text string) fleet.Step {
		r.t.Helper()
		p, findings := r.compile(text)
		if p == nil {
			r.t.Fatalf("%s\n%v", text, findings)
		}
		receipt := f.Apply(context.Background(), []*pipelines.Program{p})
		step := receipt.Steps[0]
		if step.Outcome != fleet.Done {
			r.t.Fatalf("%s\n%+v", text, step)
		}
		return step
	}
}

func TestAReloadOfTheOnlySourceAtAListenerRefusesNobody(t *testing.T) {
	r := newRig(t)
	apply := r.fleet()
	const text = `
name: p
from: { http: { listen: "${LISTEN}", timeout: %ds } }
to: { file: { path: "${DIR}/out" } }
`
	apply(fmt.Sprintf(text, 20))
	l := r.load(8)
	for v := 21; v < 26; v++ {
		l.more(50)
		if step := apply(fmt.Sprintf(text, v)); len(step.KeptSources) != 0 || step.Action != pipelines.Replace {
			t.Errorf("the source was not exchanged: %+v", step)
		}
	}
	l.more(50)
	l.end("out")
}

func TestAReloadThatKeepsTheSourceKeepsWhatItSaysOfARequest(t *testing.T) {
	r := newRig(t)
	apply := r.fleet()
	const text = `
name: p
from: { http: { listen: "${LISTEN}" } }
steps: [ { transform: { body: '{n: body.n, from: source.method + source.path}' } }, { transform: { body.v: "%d" } } ]
to: { file: { path: "${DIR}/out" } }
`
	apply(fmt.Sprintf(text, 0))
	l := r.load(4)
	for v := 1; v < 4; v++ {
		l.more(20)
		if step := apply(fmt.Sprintf(text, v)); step.Action != pipelines.Swap {
			t.Errorf("the source was exchanged: %+v", step)
		}
	}
	l.more(20)
	l.halt()
	lines, versions := r.lines("out"), map[string]bool{}
	for _, line := range lines {
		if !strings.Contains(line, `"from":"POST/"`) {
			t.Errorf("a message has lost what it knew of its request: %s", line)
		}
		versions[line[strings.Index(line, `"v"`):]] = true
	}
	if int64(len(lines)) != l.sent.Load() || len(versions) != 4 {
		t.Errorf("%d requests, %d lines, versions %v", l.sent.Load(), len(lines), versions)
	}
}
