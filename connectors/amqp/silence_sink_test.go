//go:build integration

package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// persist sends until all is confirmed, in order, and reports how much it sent again.
func persist(t testing.TB, s flow.Sink, outs []*flow.Outgoing) (again int) {
	t.Helper()
	for late := time.Now().Add(patience); ; {
		send(t, s, outs...)
		at := len(outs)
		for i, o := range outs {
			if o.Err == nil {
				continue
			}
			if e := flow.AsError(o.Err, flow.Transient, flow.CodeUnavailable); e.Class != flow.Transient {
				t.Fatalf("a failure that is not transient: %v", o.Err)
			}
			at = min(at, i)
		}
		if at == len(outs) {
			return again
		}
		if time.Now().After(late) {
			t.Fatalf("it is not confirmed: %v", outs[at].Err)
		}
		outs = outs[at:]
		again += len(outs)
	}
}

func TestASinkSendsAgainWhatASilentConnectionHasNotConfirmed(t *testing.T) {
	url := brokerURL(t)
	for _, test := range []struct {
		name           string
		size, n, batch int
	}{
		{"small", 10, 4000, 100},
		// More than the buffers of two sockets and a proxy take: a write hangs when the connection falls silent.
		{"large", 1 << 20, 60, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			queue, ch := freshQueue(t, url, nil)
			proxied, network := behind(t, url)
			s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s}", proxied, queue))
			again, total := 0, 0
			for from := 0; from < test.n; from += test.batch {
				var texts []string
				for _, v := range values(from, from+test.batch) {
					texts = append(texts, v+strings.Repeat(" ", test.size))
				}
				outs, err := prepareBodies(p, texts...)
				if err != nil {
					t.Fatal(err)
				}
				if from%(test.n/2) == 0 && total < 2 {
					total++
					network.Silence()
				}
				again += persist(t, s, outs)
			}
			next, repeats := 0, 0
			for next < test.n {
				for _, d := range get(t, ch, queue, 1) {
					switch n, _ := strconv.Atoi(strings.TrimSpace(string(d.Body))); {
					case n < next:
						repeats++
					case n > next:
						t.Fatalf("%d came instead of %d", n, next)
					default:
						next++
					}
				}
			}
			if again == 0 || repeats > again {
				t.Errorf("%d were sent again, %d came again", again, repeats)
			}
		})
	}
}

func TestABrokerThatTakesTheConnectionAndSaysNothingIsTriedAgain(t *testing.T) {
	url := brokerURL(t)
	queue, _ := freshQueue(t, url, nil)
	proxied, network := behind(t, url)
	network.Deafen()
	var once sync.WaitGroup
	once.Go(func() {
		waitUntil(t, func() bool { return network.Accepted() > 0 })
		network.Hear()
	})
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", proxied, queue))
	once.Wait()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := network.Accepted(); n != 2 {
		t.Errorf("it connected %d times", n)
	}
}

func TestADialWithoutAnAnswerEndsEarlyAndIsNoRefusal(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	d := dialer{urls: []config.Secret{config.NewSecret("amqp://" + l.Addr().String() + "/")}, heartbeat: defaultHeartbeat}
	began := time.Now()
	_, err = d.dial(t.Context(), "test")
	var silent *silenceError
	if !errors.As(err, &silent) || silent.patience >= openTimeout {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	wantError(t, err, flow.Transient, flow.CodeUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err = d.dial(ctx, "test"); err == nil || errors.As(err, &silent) {
		t.Errorf("a dial whose context has ended says %v", err)
	}
}

func TestAHeartbeatOfTheURLDecidesAboutThePatience(t *testing.T) {
	url := brokerURL(t)
	for query, want := range map[string]time.Duration{"": 6 * time.Second, "?heartbeat=7": 21 * time.Second} {
		d := dialer{urls: []config.Secret{config.NewSecret(url + query)}, heartbeat: 2 * time.Second}
		conn, err := d.dial(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		waitUntil(t, func() bool { return conn.wire.given() == want+goneMargin })
		if err := conn.goodbye(); err != nil {
			t.Error(err)
		}
	}
}
