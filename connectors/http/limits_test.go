package http_test

import (
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestASinkWaitsAsLongAsItsTargetAsks(t *testing.T) {
	var first, second atomic.Int64
	g := newTarget(t, func(n int, _ string, w nethttp.ResponseWriter) {
		if n == 1 {
			first.Store(time.Now().UnixNano())
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(503)
			return
		}
		second.CompareAndSwap(0, time.Now().UnixNano())
	})
	r := newRig(t)
	r.vars["URL"] = g.URL
	r.start(`
name: p
from: { http: { listen: "${LISTEN}" } }
to: { http: { url: "${URL}" } }
on_error: { retry: { max: 3, backoff: 1ms..2ms } }
`)
	r.want(request{body: "1"}, 200, "")
	if waited := time.Duration(second.Load() - first.Load()); waited < time.Second {
		t.Errorf("it came again after %s, the target asked for 1s", waited)
	}
	if got := g.got(); len(got) != 1 || got[0] != "1" {
		t.Errorf("arrived: %v", got)
	}
}

func TestLargeBodiesAtATimeTakeNoMoreThanTheirShare(t *testing.T) {
	const clients, size = 256, 1 << 20
	r := newRig(t)
	p := r.start(`
name: p
from: { http: { listen: "${LISTEN}" } }
to: { file: { path: "${DIR}/out" } }
limits: { in_flight_bytes: 8MiB }
`)
	body := strings.Repeat("x", size-1)
	before := heap()
	var most atomic.Uint64
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				most.Store(max(most.Load(), heap()))
			}
		}
	}()
	client := &nethttp.Client{Transport: &nethttp.Transport{DisableKeepAlives: true}, Timeout: 2 * patience}
	var all sync.WaitGroup
	var good, busy atomic.Int64
	for range clients {
		all.Go(func() {
			for {
				got, err := r.try(client, request{body: body})
				switch {
				case err == nil && got.status == 200:
					good.Add(1)
					return
				case err == nil && got.status != 503:
					t.Errorf("answered %+v", got)
					return
				}
				busy.Add(1) // who is refused before all was read may find the connection closed
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	all.Wait()
	close(stop)
	<-watched
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(r.lines("out")); n != clients || good.Load() != clients {
		t.Errorf("%d clients had 200, %d lines were written, %d clients", good.Load(), n, clients)
	}
	if busy.Load() == 0 {
		t.Error("nobody was asked to come again: this shows nothing")
	}
	grown := int64(most.Load()) - int64(before)
	t.Logf("grew by %d MiB, %d times too much at a time", grown>>20, busy.Load())
	if grown > 128<<20 { // 8 MiB in flight, 16 MiB waiting, the copies of both, and what is not collected yet
		t.Errorf("%d bodies of %d MiB took %d MiB", clients, size>>20, grown>>20)
	}
}

func TestNobodyWaitsForANeighbourThatIsTriedAgain(t *testing.T) {
	var open atomic.Bool
	g := newTarget(t, func(_ int, body string, w nethttp.ResponseWriter) {
		if body == `{"is":"bad"}` && !open.Load() {
			w.WriteHeader(503)
		}
	})
	r := newRig(t)
	r.vars["URL"] = g.URL
	r.start(`
name: p
from: { http: { listen: "${LISTEN}", timeout: 60s } }
steps: [ { filter: body.is != "" } ]
to: { http: { url: "${URL}", concurrency: 32 } }
`)
	const neighbours = 100
	l := r.load(0)
	var bad, good sync.WaitGroup
	for k := range neighbours {
		if k%10 == 0 {
			bad.Go(func() { l.send(request{body: `{"is":"bad"}`}) })
		}
		good.Go(func() { l.send(request{body: `{"is":"good"}`}) })
		good.Go(func() { r.want(request{body: "refused"}, 422, "decode") })
	}
	good.Wait() // while the bad ones are tried again
	if n := l.sent.Load(); n != neighbours {
		t.Errorf("%d were answered with 200, want the %d good ones", n, neighbours)
	}
	open.Store(true)
	bad.Wait()
	l.halt()
	if n := l.refused.Load(); n > 0 {
		t.Errorf("%d were asked to come again", n)
	}
	if n := len(g.got()); n != neighbours+neighbours/10 {
		t.Errorf("%d arrived, want %d", n, neighbours+neighbours/10)
	}
}
