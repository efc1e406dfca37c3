//go:build integration

package amqp

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/faults/proxy"
)

// behind puts a proxy before the broker, and gives the URL to connect through it.
func behind(t testing.TB, url string) (string, *proxy.Proxy) {
	t.Helper()
	parsed, err := amqp.ParseURI(url)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("%s:%d", parsed.Host, parsed.Port)
	p, err := proxy.New(t.Context(), address, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return strings.Replace(url, address, p.Addr(), 1), p
}

// pipe settles what it takes slowly, and takes no more than so many unsettled records: the prefetch window stays full. It watches the
// order of first arrivals.
type pipe struct {
	source flow.Source
	room   chan struct{}
	work   chan *flow.Batch

	mu         sync.Mutex
	next       int // the number that is to arrive next
	repeats    int
	violations []string
	lanes      map[*flow.Lane]bool
}

func newPipe(room int) *pipe {
	return &pipe{room: make(chan struct{}, room), work: make(chan *flow.Batch, 1<<16), lanes: map[*flow.Lane]bool{}}
}

func (p *pipe) Push(ctx context.Context, b *flow.Batch) error {
	for i := range b.Records {
		select {
		case p.room <- struct{}{}:
		case <-ctx.Done():
			for range i {
				<-p.room
			}
			return ctx.Err()
		}
	}
	p.mu.Lock()
	p.lanes[b.Lane] = true
	for i := range b.Records {
		switch n, _ := strconv.Atoi(string(b.Records[i].Body)); {
		case n < p.next:
			p.repeats++
		case n > p.next:
			p.violations = append(p.violations, fmt.Sprintf("%d instead of %d", n, p.next))
			p.next = n + 1
		default:
			p.next++
		}
	}
	p.mu.Unlock()
	p.work <- b
	return nil
}

// run settles until there is no more to come.
func (p *pipe) run(every time.Duration) {
	for b := range p.work {
		n := len(b.Records)
		time.Sleep(time.Duration(n) * every)
		settle(p.source, []*flow.Batch{b}, delivered)
		for range n {
			<-p.room
		}
	}
}

func (p *pipe) seen() (next, lanes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next, len(p.lanes)
}

// until waits until so many numbers have come through so many sessions.
func (p *pipe) until(t testing.TB, next, lanes int) {
	t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		n, l := p.seen()
		if n >= next && l >= lanes {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%d numbers came through %d sessions, want %d and %d", n, l, next, lanes)
		}
	}
}

func (p *pipe) judge(t testing.TB) {
	t.Helper()
	if len(p.violations) > 0 {
		t.Errorf("%d messages overtook others: %.300s", len(p.violations), strings.Join(p.violations, ", "))
	}
	t.Logf("%d numbers, %d of them came again, %d sessions", p.next, p.repeats, len(p.lanes))
}

// most watches how many consumers a queue has at most, until it is called.
func most(t testing.TB, url, queue string) func() int {
	t.Helper()
	ch := plainChannel(t, url)
	stop, result := make(chan struct{}), make(chan int)
	go func() {
		top := 0
		for {
			if q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil); err == nil {
				top = max(top, q.Consumers)
			}
			select {
			case <-stop:
				result <- top
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int {
		close(stop)
		return <-result
	}
}

// filled makes a queue with numbers from 0.
func filled(t testing.TB, url string, n int, args amqp.Table) (string, *amqp.Channel) {
	t.Helper()
	queue, ch := freshQueue(t, url, args)
	publish(t, ch, queue, numbered(0, n)...)
	waitForReady(t, ch, queue, n)
	return queue, ch
}

func TestAQueueKeepsItsOrderWhenItsConnectionFallsSilent(t *testing.T) {
	url := brokerURL(t)
	for _, test := range []struct {
		name string
		args amqp.Table
		// consumers is how many the queue may have: one that is single active lets the next one wait.
		silences, consumers int
	}{
		{"classic", nil, 5, 1},
		{"quorum", amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}, 2, 1},
		{"single active consumer", amqp.Table{"x-single-active-consumer": true}, 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			queue, _ := filled(t, url, 20_000, test.args)
			proxied, net := behind(t, url)
			p := newPipe(150)
			host := connectortest.NewHost(t)
			host.Bounds.InFlight = 200 // batches of 50
			host.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
			p.source = mustSource(t, host, fmt.Sprintf("{url: %q, queue: %s, prefetch: 200}", proxied, queue))
			consumers := most(t, url, queue)
			run := start(t, p.source, p)
			go p.run(500 * time.Microsecond)
			p.until(t, 1000, 1)
			for i := range test.silences {
				net.Silence()
				if i%2 == 0 {
					giveUp(p.source) // long before the broker does
				}
				n, _ := p.seen()
				p.until(t, n+500, i+2)
			}
			run.close(t)
			close(p.work)
			p.judge(t)
			if n := consumers(); n > test.consumers {
				t.Errorf("the queue had %d consumers at a time, want %d: the old one was not gone when the new one began", n, test.consumers)
			}
		})
	}
}

// giveUp lets a source think that its connection is lost.
func giveUp(s flow.Source) {
	own, _ := s.(*source)
	own.mu.Lock()
	defer own.mu.Unlock()
	own.current.conn.wire.abort()
}

// TestASourceThatIsOpenedAnewWhileTheOldOneIsSilentKeepsTheOrder is what a reload does.
func TestASourceThatIsOpenedAnewWhileTheOldOneIsSilentKeepsTheOrder(t *testing.T) {
	url := brokerURL(t)
	queue, _ := filled(t, url, 5000, nil)
	proxied, net := behind(t, url)
	host, text := connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, prefetch: 200}", proxied, queue)
	host.Bounds.InFlight = 200
	p := newPipe(150)
	p.source = mustSource(t, host, text)
	run := start(t, p.source, p)
	consumers := most(t, url, queue)
	time.Sleep(100 * time.Millisecond) // it settles nothing: all it was given comes again
	net.Silence()
	next := mustSource(t, host, text)
	run.end(t)
	if err := run.source.Close(t.Context()); err != nil {
		t.Logf("the silent source: %v", err)
	}
	for range len(p.room) {
		<-p.room // the engine has given up what the old one read
	}
	for range len(p.work) {
		<-p.work
	}
	p.source = next
	run = start(t, next, p)
	go p.run(100 * time.Microsecond)
	p.until(t, 5000, 2)
	run.close(t)
	close(p.work)
	p.judge(t)
	if n := consumers(); n > 1 {
		t.Errorf("the queue had %d consumers at a time", n)
	}
}

func TestASourceComesBackToAQueueThatOthersRead(t *testing.T) {
	url := brokerURL(t)
	for _, test := range []struct {
		name          string
		before, after int // other consumers before the source began, and those that come when it has
	}{{"others before", 1, 0}, {"others came", 0, 1}} {
		t.Run(test.name, func(t *testing.T) {
			queue, ch := freshQueue(t, url, nil)
			proxied, net := behind(t, url)
			other := func(n int) {
				for range n {
					if err := ch.Qos(1, 0, false); err != nil {
						t.Fatal(err)
					}
					if _, err := ch.Consume(queue, "", false, false, false, false, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			other(test.before)
			in := newIntake()
			s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", proxied, queue))
			run := start(t, s, in)
			publish(t, ch, queue, numbered(0, 50)...)
			in.waitFor(t, 49)
			other(test.after)
			consumers := most(t, url, queue)
			net.Silence()
			publish(t, ch, queue, numbered(50, 100)...)
			seen := map[string]bool{}
			for late := time.Now().Add(patience); len(seen) < 98 && time.Now().Before(late); time.Sleep(20 * time.Millisecond) {
				for _, body := range bodies(in.take()) {
					seen[body] = true
				}
			}
			if len(seen) < 98 { // the others hold one or two
				t.Errorf("the source has seen %d messages", len(seen))
			}
			run.close(t)
			if n := consumers(); test.before > 0 && n > 1+test.before+test.after {
				t.Errorf("the queue had %d consumers at a time", n)
			}
		})
	}
}

func TestWhoWaitsForALostConsumerEndsAtOnce(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	if _, err := ch.Consume(queue, "", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	host, text := connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", url, queue)
	s := mustSource(t, host, text)
	own, _ := s.(*source)
	haunt := func() { own.nodes.haunt(queue, ghost{until: time.Now().Add(24 * time.Hour)}) }
	haunt()
	in := newIntake()
	run := start(t, s, in)
	waitUntil(t, func() bool { return haunting(own.nodes) })
	next := mustSource(t, host, text) // a reload opens the next one meanwhile
	run.close(t)
	run = start(t, next, in)
	if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // it finds that the queue is missing, and goes on trying
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	publish(t, ch, queue, numbered(0, 1)...)
	in.waitFor(t, 1)
	run.close(t)
}

func haunting(n nodes) bool {
	n[0].mu.Lock()
	defer n[0].mu.Unlock()
	return len(n[0].ghosts) > 0
}

func waitUntil(t testing.TB, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("it did not happen")
		}
	}
}
