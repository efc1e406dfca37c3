package amqp

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

const (
	// flushInterval is how often what is settled behind a hole is acknowledged by itself.
	flushInterval = 250 * time.Millisecond
	// closeTimeout bounds the broker's answer to a goodbye.
	closeTimeout = 5 * time.Second
	consumerTag  = "millstream"
)

var errCancelled = errors.New("the broker has cancelled the consumer: the queue was deleted, or its node is gone")

// session is one connection of a source and its one channel.
type session struct {
	conn  *connection
	ch    *amqp.Channel
	nodes nodes
	queue string
	lane  *flow.Lane
	acks  *acks
	// buffer holds up to the prefetch window: the library hands deliveries over one at a time, so without it each batch would be one.
	buffer chan amqp.Delivery
	lost   chan *amqp.Error
	loss   *amqp.Error // what came of it
	// cancelled says that the broker has ended a consumer: its queue is gone, or moved to another node.
	cancelled chan string

	consuming sync.Once
	stopped   chan struct{}
	stopping  sync.Once
	ended     sync.WaitGroup

	sizing *sizing
	gauge  gauge
	// mu is held while a consumer begins or ends, and while they are counted; consumers counts those of this session and makes their tags.
	mu        sync.Mutex
	consumers int
	others    int // consumers of the queue besides
}

// connect opens a connection and makes sure that the queue is there.
func (s *source) connect(ctx context.Context) (*session, error) {
	conn, err := s.dialer.dial(ctx, connectionName(s.host))
	s.outage.tried(err)
	if err != nil {
		return nil, err
	}
	var se *session
	err = conn.ask(ctx, func() (err error) {
		se, err = s.prepareChannel(conn)
		return err
	})
	if err != nil {
		_ = conn.goodbye()
		return nil, err
	}
	return se, nil
}

func (s *source) prepareChannel(conn *connection) (*session, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, channelError(err)
	}
	if err := s.cfg.queue(ch); err != nil {
		return nil, err
	}
	se := &session{
		conn: conn, ch: ch, nodes: s.nodes, queue: s.cfg.Queue, lane: flow.NewLane(s.cfg.Queue), acks: newAcks(ch), stopped: make(chan struct{}),
		lost: make(chan *amqp.Error, 2), cancelled: make(chan string, 1),
	}
	ch.NotifyClose(se.lost)
	ch.NotifyCancel(se.cancelled)
	return se, nil
}

// consume begins to read, once. ended is called when the deliveries end because the connection is lost.
func (se *session) consume(sizing *sizing, ended func()) (err error) {
	se.consuming.Do(func() {
		se.sizing = sizing
		var deliveries <-chan amqp.Delivery
		if deliveries, err = se.begin(); err != nil {
			return
		}
		se.buffer = make(chan amqp.Delivery, sizing.most)
		se.ended.Go(func() {
			defer close(se.buffer)
			defer func() {
				if se.ch.IsClosed() {
					ended()
				}
			}()
			for again := true; again; {
				if again = se.pump(deliveries); again {
					deliveries, again = se.beginAgain()
				}
			}
		})
		se.ended.Go(se.flushNowAndThen)
		se.ended.Go(se.lookNowAndThen)
	})
	if err != nil {
		return named(err, "consume queue %q", se.queue)
	}
	return nil
}

// begin makes a consumer with the window as it is to be now.
func (se *session) begin() (<-chan amqp.Delivery, error) {
	if err := se.ch.Qos(se.sizing.current, 0, false); err != nil {
		return nil, err
	}
	se.consumers++
	return se.ch.Consume(se.queue, se.tag(), false, false, false, false, nil)
}

// beginAgain follows a consumer that was ended for another window; false when the session is to stop or is lost.
func (se *session) beginAgain() (<-chan amqp.Delivery, bool) {
	se.mu.Lock()
	defer se.mu.Unlock()
	if se.isStopped() {
		return nil, false
	}
	deliveries, err := se.begin()
	return deliveries, err == nil
}

func (se *session) tag() string { return consumerTag + "-" + strconv.Itoa(se.consumers) }

func (se *session) isStopped() bool {
	select {
	case <-se.stopped:
		return true
	default:
		return false
	}
}

// pump moves deliveries into the buffer until the library ends them. What comes after the stop is left to the broker. It reports whether
// it ended the consumer for one with another window; what is unacknowledged stays so, and the next consumer gets what comes behind it.
func (se *session) pump(deliveries <-chan amqp.Delivery) (again bool) {
	for d := range deliveries {
		if se.isStopped() {
			_ = d.Nack(false, true)
			continue
		}
		if !again && se.sizing.saw(len(d.Body)) {
			again = se.endConsumer()
		}
		se.gauge.received.Store(d.DeliveryTag)
		se.buffer <- d
	}
	return again
}

// endConsumer ends the consumer, unless somebody else does; the library then ends its deliveries, the last ones first.
func (se *session) endConsumer() bool {
	se.mu.Lock()
	defer se.mu.Unlock()
	return !se.isStopped() && se.ch.Cancel(se.tag(), false) == nil
}

func (se *session) flushNowAndThen() {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			se.acks.flush(false)
		case <-se.stopped:
			return
		}
	}
}

// stopConsuming takes no more deliveries, and gives back what was not pushed.
func (se *session) stopConsuming() {
	se.mu.Lock()
	se.stop()
	_ = se.ch.Cancel(se.tag(), false)
	se.mu.Unlock()
	for d := range se.buffer {
		_ = d.Nack(false, true)
	}
}

func (se *session) stop() { se.stopping.Do(func() { close(se.stopped) }) }

// giveBack requeues a batch that was not taken.
func (se *session) giveBack(f *flight) {
	se.acks.settle(len(f.batch.Records), func(i int) (uint64, outcome) { return f.batch.Records[i].Tag, requeue })
}

// reason is why the session ended.
func (se *session) reason() error {
	if se.noteLoss(); se.loss != nil {
		if err := se.conn.wire.failure(); err != nil && !se.loss.Server {
			return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%w", err)
		}
		return channelError(se.loss)
	}
	select {
	case _, ok := <-se.cancelled:
		if ok {
			return flow.Errorf(flow.ConfigError, flow.CodeMissing, "%w", errCancelled)
		}
	default:
	}
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "the connection broke")
}

func (se *session) noteLoss() {
	select {
	case err := <-se.lost:
		if err != nil {
			se.loss = err
		}
	default:
	}
}

// close ends the session and the goroutines that belong to it.
func (se *session) close() error {
	se.stop()
	se.gauge.close()
	err := se.conn.goodbye()
	if se.buffer != nil {
		for range se.buffer {
		}
	}
	se.ended.Wait()
	if err != nil && se.consumers > 0 {
		until, goodbye := se.gone()
		se.nodes.haunt(se.queue, ghost{others: se.others, until: until, goodbye: goodbye})
	}
	return unlessClosed(err)
}

// unlessClosed leaves out that there was nobody to say goodbye to: the connection was lost already.
func unlessClosed(err error) error {
	if errors.Is(err, amqp.ErrClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
