package amqp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

const (
	// haunted is how often a queue is asked for its consumers while one of them may be a ghost.
	haunted = 100 * time.Millisecond
	// lookInterval is how often a session that reads counts the other consumers of its queue, for the case that it is lost.
	lookInterval = 2 * time.Second
)

// ghost is a consumer of a session that has ended without the broker's having said so: its deliveries are the broker's again only when the
// broker has given the old connection up.
type ghost struct {
	others  int       // how many other consumers the queue had
	until   time.Time // by then it is gone, when the broker has not stood still itself
	goodbye bool      // the broker has said that it ends it
}

// node is a vhost of a broker's node, with the ghosts in it by queue.
type node struct {
	mu     sync.Mutex
	ghosts map[string]ghost
}

// Close implements io.Closer.
func (*node) Close() error { return nil }

// nodes are those that a list of URLs names. A list that has one of them, and other users and parameters, knows of the same ghosts.
type nodes []*node

// nodes takes part in what is known of the nodes; the engine counts who does.
func (d *dialer) nodes(host flow.Host) (all nodes, release func() error, err error) {
	var releases []func() error
	release = func() error {
		var failures []error
		for _, r := range releases {
			failures = append(failures, r())
		}
		return errors.Join(failures...)
	}
	for _, u := range d.urls {
		parsed, err := amqp.ParseURI(u.Reveal())
		if err != nil {
			continue // who dials it says so
		}
		address := net.JoinHostPort(strings.ToLower(parsed.Host), strconv.Itoa(parsed.Port))
		res, one, err := host.Share("amqp node\x00"+address+"\x00"+parsed.Vhost, func() (io.Closer, error) {
			return &node{ghosts: map[string]ghost{}}, nil
		})
		if err != nil {
			return nil, nil, errors.Join(err, release())
		}
		known, _ := res.(*node)
		all, releases = append(all, known), append(releases, one)
	}
	return all, release, nil
}

// haunt notes that the broker may still count a consumer of the queue.
func (n nodes) haunt(queue string, g ghost) {
	for _, each := range n {
		each.haunt(queue, g)
	}
}

func (n *node) haunt(queue string, g ghost) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old, ok := n.ghosts[queue]; ok {
		g.others, g.goodbye = min(g.others, old.others), g.goodbye && old.goodbye
		if old.until.After(g.until) {
			g.until = old.until
		}
	}
	n.ghosts[queue] = g
}

// stillHaunted notes that the broker is there now, and may have stood still until then: so much longer may it count a consumer that it has not
// said goodbye to.
func (n nodes) stillHaunted(queue string, until time.Time) {
	for _, each := range n {
		each.mu.Lock()
		if g, ok := each.ghosts[queue]; ok && !g.goodbye && g.until.Before(until) {
			g.until = until
			each.ghosts[queue] = g
		}
		each.mu.Unlock()
	}
}

// haunted tells whether a queue with so many consumers may still have one that is none, and else how many others it has. Once it has not, the
// next ones need not ask.
func (n nodes) haunted(queue string, consumers int) (wait bool, others int) {
	others = consumers
	for _, each := range n {
		waits, so := each.haunted(queue, consumers)
		wait, others = wait || waits, min(others, so)
	}
	return wait, others
}

func (n *node) haunted(queue string, consumers int) (wait bool, others int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	g, ok := n.ghosts[queue]
	if ok && consumers > g.others {
		if time.Now().Before(g.until) {
			return true, g.others
		}
		consumers = g.others // the rest have come since, or are ghosts of a slow broker
	}
	delete(n.ghosts, queue)
	return false, consumers
}

// alone waits until the broker does not count the consumer of an earlier session any more that was lost without a goodbye. Until then that one
// has deliveries which the broker would hand out again only behind those that this session got.
func (se *session) alone(ctx context.Context, log *slog.Logger) error {
	se.nodes.stillHaunted(se.queue, time.Now().Add(se.conn.wire.given()))
	for said := false; ; said = true {
		var consumers int
		err := se.conn.ask(ctx, func() (err error) {
			consumers, err = se.count()
			return err
		})
		if err != nil {
			return named(err, "queue %q", se.queue)
		}
		wait, others := se.nodes.haunted(se.queue, consumers)
		if !wait {
			se.others = others
			return nil
		}
		if !said {
			log.Info("the broker still counts the consumer of a connection that is lost; it is waited for", "queue", se.queue)
		}
		select {
		case <-time.After(haunted):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count asks the broker how many consumers the queue has.
func (se *session) count() (int, error) {
	q, err := se.ch.QueueDeclarePassive(se.queue, true, false, false, false, nil)
	return q.Consumers, err
}

// lookNowAndThen keeps up with other consumers that come and go: one that came would be taken for the ghost of this session, and with one
// that went the ghost would not be seen.
func (se *session) lookNowAndThen() {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			se.look()
		case <-se.stopped:
			return
		}
	}
}

// look counts the other consumers. It holds the lock, since the library cannot tell the answers of two questions on one channel apart. A
// look between two consumers of this session counts one too few: that costs a wait, and no order.
func (se *session) look() {
	se.mu.Lock()
	defer se.mu.Unlock()
	if se.isStopped() {
		return
	}
	if consumers, err := se.count(); err == nil { // else the session ends
		se.others = max(0, consumers-1)
	}
}

// gone is when the broker has given up the consumer of a session that it did not answer the goodbye of. It counts from the last that it has
// heard, which may be what was sent right before the end: a network can be silent one way first.
func (se *session) gone() (until time.Time, goodbye bool) {
	if se.noteLoss(); se.loss != nil && se.loss.Server {
		return time.Now().Add(goneMargin / 2), true // the queue is about to hear of it
	}
	return time.Now().Add(se.conn.wire.given()), false
}
