//go:build integration

package amqp

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/faults/proxy"
)

// TestAQueueKeepsItsOrderWhenTheBrokerIsSilentFirst lets the broker hear the source until right before that gives up: it gives the source up
// as much later.
func TestAQueueKeepsItsOrderWhenTheBrokerIsSilentFirst(t *testing.T) {
	url := brokerURL(t)
	queue, _ := filled(t, url, 20_000, nil)
	proxied, net := behind(t, url)
	p := newPipe(150)
	host := connectortest.NewHost(t)
	host.Bounds.InFlight = 200
	host.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	p.source = mustSource(t, host, fmt.Sprintf("{url: %q, queue: %s, prefetch: 200, heartbeat: 2s}", proxied, queue))
	consumers := most(t, url, queue)
	run := start(t, p.source, p)
	go p.run(500 * time.Microsecond)
	p.until(t, 1000, 1)
	net.Mute()
	time.Sleep(3*2*time.Second - 400*time.Millisecond)
	net.Silence()
	n, _ := p.seen()
	p.until(t, n+2000, 2)
	run.close(t)
	close(p.work)
	p.judge(t)
	if n := consumers(); n > 1 {
		t.Errorf("the queue had %d consumers at a time: the old one was not gone when the new one began", n)
	}
}

// others is how many other consumers a source knows of.
func others(s flow.Source) int {
	own, _ := s.(*source)
	own.mu.Lock()
	se := own.current
	own.mu.Unlock()
	if se == nil {
		return -1
	}
	se.mu.Lock()
	defer se.mu.Unlock()
	return se.others
}

// TestASourceKnowsWhoElseReadsWhenItIsLost has heartbeats by which the time of a lost consumer would outlast the test.
func TestASourceKnowsWhoElseReadsWhenItIsLost(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	proxied, net := behind(t, url)
	in := newIntake()
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, heartbeat: 40s}", proxied, queue))
	run := start(t, s, in)
	publish(t, ch, queue, numbered(0, 1)...)
	in.waitFor(t, 1)
	other, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	theirs, err := other.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.Qos(1, 0, false); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Consume(queue, "", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { return others(s) == 1 })
	net.Reset()
	publish(t, ch, queue, numbered(1, 4)...) // the other one takes one
	in.waitFor(t, 3)                         // and the first one comes again
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { return others(s) == 0 })
	run.close(t)
}

// TestABrokerThatAnswersSlowlyIsReached needs more time for its first answer than the first attempt has.
func TestABrokerThatAnswersSlowlyIsReached(t *testing.T) {
	url := brokerURL(t)
	queue, _ := freshQueue(t, url, nil)
	proxied, net := behind(t, url)
	net.Set(proxy.Shape{Latency: refusalTime/2 + 300*time.Millisecond}) // there and back
	var once sync.WaitGroup
	once.Go(func() {
		waitUntil(t, func() bool { return net.Accepted() > 1 })
		time.Sleep(refusalTime * 3 / 4) // the answer is on its way
		net.Set(proxy.Shape{})
	})
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", proxied, queue))
	once.Wait()
	if n := net.Accepted(); n != 2 {
		t.Errorf("it connected %d times", n)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
