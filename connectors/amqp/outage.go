package amqp

import (
	"errors"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

const (
	// reminder is how often an outage that goes on is spoken of again.
	reminder = 10 * time.Second
	// stable is how long a connection must last for its loss to be another outage than the last one.
	stable = 2 * time.Second
)

// outage is the time in which a source or a sink has no connection. One goroutine uses it.
type outage struct {
	log    *slog.Logger
	shared *shared
	about  []any // further attributes of the lines
	health health

	down        bool
	unreachable bool // the last attempt found no broker that took the connection
	attempts    int
	began       time.Time
	opened      time.Time // when the last one was over
	said        bool      // a line has spoken of it
	spoke       time.Time
	class       flow.Class
	code        flow.Code
}

// lost notes why there is no connection, or why there is none yet. It speaks of the first failure, of one of another kind than the last,
// and else now and then.
func (o *outage) lost(err error) {
	e, now := flow.AsError(err, flow.Transient, flow.CodeUnavailable), time.Now()
	if !o.down {
		o.down = true
		if o.began.IsZero() || now.Sub(o.opened) > stable {
			o.attempts, o.began, o.spoke = 0, now, time.Time{}
		}
	}
	o.health.fails(o.began, err)
	if e.Class == o.class && e.Code == o.code && now.Sub(o.spoke) < reminder {
		return
	}
	args := append([]any{"error", err}, o.about...)
	if o.attempts > 0 {
		args = append(args, "attempts", o.attempts, "since", now.Sub(o.began).Round(time.Millisecond).String())
	}
	line := "the connection is lost"
	if closed := closedByBroker(err); closed != "" {
		line = closed
	}
	o.log.Warn(line+"; it is opened again", args...)
	o.said, o.spoke, o.class, o.code = true, now, e.Class, e.Code
}

// closedByBroker says what the broker has closed with a reason of its own; "" when it has given none.
func closedByBroker(err error) string {
	var said *amqp.Error
	switch {
	case errors.Is(err, errCancelled):
		return "the broker has ended the consumer"
	case !errors.As(err, &said) || !said.Server:
		return ""
	case said.Recover:
		return "the broker has closed the channel"
	}
	return "the broker has closed the connection"
}

// wait waits for the next turn to connect; false when the wait was cut short.
func (o *outage) wait(done <-chan struct{}) bool {
	attempts := o.attempts
	o.attempts++
	return o.shared.wait(attempts, attempts == 0 || o.unreachable, done)
}

// tried notes whether an attempt has reached a broker.
func (o *outage) tried(err error) {
	o.unreachable = err != nil
	if err == nil {
		o.shared.reached()
	}
}

// over ends the outage, if there is one.
func (o *outage) over() {
	if o.down && o.said {
		o.log.Info("the connection is open again",
			append([]any{"attempts", o.attempts, "after", time.Since(o.began).Round(time.Millisecond).String()}, o.about...)...)
	}
	o.health.works()
	o.down, o.said, o.unreachable, o.opened = false, false, false, time.Now()
}
