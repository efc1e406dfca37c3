//go:build integration

package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/faults/proxy"
)

// throughProxy puts a proxy before a broker, which tells its clients to come to the proxy.
func throughProxy(t *testing.T, target string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.New(t.Context(), target, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Replace(encoded(t, target), encoded(t, p.Addr())); err != nil {
		t.Fatal(err)
	}
	return p
}

// encoded is an address as Kafka's protocol says it.
func encoded(t *testing.T, address string) []byte {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.AppendUint32([]byte(host), uint32(n))
}

// book is a log that several components write.
type book struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// loop is a topic that a sink writes and a source reads, all the time, through the same proxy.
type loop struct {
	t      *testing.T
	topic  string
	direct string
	log    *book
	sink   flow.Sink
	prep   flow.Preparer
	seen   *seen
	run    *running
	stop   chan struct{}
	sent   chan int
}

func newLoop(t *testing.T, direct, through string) *loop {
	t.Helper()
	l := &loop{
		t: t, topic: freshTopic(t, direct, 3), direct: direct, log: &book{}, seen: &seen{counts: map[string]int{}, by: map[string]int{}},
		stop: make(chan struct{}), sent: make(chan int, 1),
	}
	host := connectortest.NewHost(t)
	host.Log = slog.New(slog.NewTextHandler(l.log, nil))
	source := mustSource(t, host, fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", through, l.topic, l.topic))
	l.run = start(t, source, &settling{source: source, seen: l.seen, name: "one"})
	l.sink, l.prep = mustSink(t, host, fmt.Sprintf("{brokers: [%q], topic: %s}", through, l.topic))
	go l.feed()
	l.next()
	return l
}

// feed sends one record after another until it is told to stop; each until it is confirmed.
func (l *loop) feed() {
	n := 0
	defer func() { l.sent <- n }()
	for ; ; n++ {
		select {
		case <-l.stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
		o, err := prepare(l.prep, "kafka", flow.Record{Body: fmt.Append(nil, n), Key: fmt.Append(nil, n%7)})
		for err == nil {
			if err = connectortest.Send(l.t.Context(), l.sink, []*flow.Outgoing{o}); o.Err == nil {
				break
			}
		}
		if err != nil {
			return
		}
	}
}

// next waits until more has come.
func (l *loop) next() {
	l.t.Helper()
	l.seen.mu.Lock()
	before := len(l.seen.counts)
	l.seen.mu.Unlock()
	l.seen.wait(l.t, before+50)
}

// check ends the loop: all that was sent is in the topic and was read, once.
func (l *loop) check() {
	l.t.Helper()
	close(l.stop)
	n := <-l.sent
	l.seen.wait(l.t, n)
	l.run.end(l.t)
	l.run.close(l.t)
	there := map[string]int{}
	for _, r := range fetchAll(l.t, l.direct, l.topic, n) {
		there[string(r.Value)]++
	}
	for i := range n {
		if v := fmt.Sprint(i); there[v] != 1 || l.seen.counts[v] != 1 {
			l.t.Fatalf("%s of %d is there %d times and was read %d times", v, n, there[v], l.seen.counts[v])
		}
	}
	l.t.Logf("%d records", n)
}

// rounds is how often something happens: MILLSTREAM_KILLS, or a few times.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("MILLSTREAM_KILLS")); err == nil {
		return n
	}
	return 2
}

func TestANetworkThatFallsSilentLosesAndRepeatsNothing(t *testing.T) {
	brokers := realBrokers(t)
	p := throughProxy(t, brokers)
	l := newLoop(t, brokers, p.Addr())
	for range rounds() {
		p.Silence()
		l.next()
		p.Deafen()
		time.Sleep(3 * time.Second)
		p.Hear()
		l.next()
		p.Set(proxy.Shape{Latency: 2 * time.Second}) // there and back: longer than the client waits
		time.Sleep(4 * time.Second)
		p.Set(proxy.Shape{})
		l.next()
		p.Reset()
		l.next()
	}
	l.check()
	if n := p.Accepted(); n > 100*rounds() {
		t.Errorf("%d connections were made", n)
	}
}

func TestABrokerThatStandsStillLosesAndRepeatsNothing(t *testing.T) {
	address, brokers := ownBroker(t, "kafka-still", 4500)
	l := newLoop(t, address, address)
	for round := range rounds() {
		brokers("freeze")
		time.Sleep(time.Duration(2+2*(round%2)) * time.Second) // less than the client waits, and more
		brokers("thaw")
		l.next()
	}
	l.check()
}

func TestABrokerThatIsSlowForGoodIsStillReadAndWritten(t *testing.T) {
	brokers := realBrokers(t)
	p := throughProxy(t, brokers)
	l := newLoop(t, brokers, p.Addr())
	p.Set(proxy.Shape{Latency: 1500 * time.Millisecond})
	for range 2 {
		l.seen.mu.Lock()
		before := len(l.seen.counts)
		l.seen.mu.Unlock()
		l.seen.wait(t, before+1)
	}
	p.Set(proxy.Shape{})
	l.check()
}

func TestABrokerThatIsAwayIsTriedNowAndThenAndSpokenOfSeldom(t *testing.T) {
	brokers := realBrokers(t)
	behind, err := proxy.New(t.Context(), brokers, 1)
	if err != nil {
		t.Fatal(err)
	}
	// What the engine's clients come to takes connections and resets them once what is behind it is gone.
	p, err := proxy.New(t.Context(), behind.Addr(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Replace(encoded(t, brokers), encoded(t, p.Addr())); err != nil {
		t.Fatal(err)
	}
	const clients, span = 4, 12
	log := &book{}
	host := connectortest.NewHost(t)
	host.Log = slog.New(slog.NewTextHandler(log, nil))
	topic := freshTopic(t, brokers, 3)
	var all []*running
	for n := range clients {
		host.ComponentName = fmt.Sprint("in", n)
		source := mustSource(t, host, fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s-%d}", p.Addr(), topic, topic, n))
		in := newIntake()
		all = append(all, start(t, source, in))
		produceAll(t, brokers, numbered(topic, n, n+1)...)
		in.waitFor(t, 1)
		settle(source, in.take(), delivered)
	}
	behind.Close()
	time.Sleep(2 * time.Second)
	before := p.Accepted()
	time.Sleep(span * time.Second)
	if n := p.Accepted() - before; n < 2 || n > 2*span {
		t.Errorf("%d clients tried %d times in %d s", clients, n, span)
	}
	if n := strings.Count(log.String(), "\n"); n == 0 || n > 12*clients {
		t.Errorf("%d lines:\n%s", n, log)
	}
	for _, r := range all {
		r.end(t)
		_ = r.source.Close(t.Context()) // nobody is there to say goodbye to
	}
}
