package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

const (
	// believed is how long a trouble that is not known to be over is taken to go on: all that matters is tried again sooner.
	believed = 15 * time.Second
	// believedReading is that for reading, which is tried again within a second, and says that it works only when there is something to read.
	believedReading = 5 * time.Second
	// lookAround is how often a producer that nobody uses looks whether the brokers are there, and how long it waits for an answer.
	lookAround = 3 * time.Second
)

// said is the error in what is said to a log; nil where there is none.
func said(msg string, args []any) error {
	for i := 0; i+1 < len(args); i += 2 {
		if err, ok := args[i+1].(error); ok && (args[i] == "err" || args[i] == "error") {
			return &spoken{strings.TrimPrefix(msg, "kafka client: "), err}
		}
	}
	return nil
}

// spoken is an error with what is said about it.
type spoken struct {
	msg string
	err error
}

// Error implements error.
func (e *spoken) Error() string { return e.msg + ": " + e.err.Error() }

// Unwrap gives what was spoken of.
func (e *spoken) Unwrap() error { return e.err }

// worst is since when something is wrong, and what was met last: no wait that was cut short, where there is more to say. What no broker has said
// itself is over once one of them answers.
func (q *quiet) worst() (since time.Time, err error) {
	if q.open.Load() == 0 {
		return time.Time{}, nil
	}
	heard := time.Unix(0, q.heard.Load())
	q.mu.Lock()
	defer q.mu.Unlock()
	now, last := q.now(), time.Time{}
	for _, t := range q.troubles {
		lasts := believed
		if strings.HasPrefix(t.where, readingOf) {
			lasts = believedReading
		}
		if !t.open || t.err == nil || now.Sub(t.seen) > lasts || !brokerSaid(t.err) && heard.After(t.seen) {
			continue
		}
		if err == nil || t.since.Before(since) {
			since = t.since
		}
		seen := t.seen
		if errors.Is(t.err, context.DeadlineExceeded) {
			seen = t.since.Add(-believed)
		}
		if seen.After(last) {
			err, last = t.err, seen
		}
	}
	return since, err
}

// Trouble implements flow.Troubled: what the client of the group meets while it connects, reads or commits.
func (s *source) Trouble() (since time.Time, err error) { return s.log.worst() }

// Trouble implements flow.Troubled.
func (s *transactor) Trouble() (since time.Time, err error) { return s.member.log.worst() }

// silent notes that a broker did not answer in time, or that its connection was given up because others got no answer. Nothing is said of it
// yet: the client connects anew, and says so when that fails.
func (q *quiet) silent(meta kgo.BrokerMetadata, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	const what = "the broker does not answer"
	t, now := q.trouble(addressOf(meta), what, nil), q.now()
	if !t.open {
		t.open, t.since, t.spoken = true, now, false
		q.open.Add(1)
	}
	t.seen, t.err = now, &spoken{what, err}
	return true
}

func addressOf(meta kgo.BrokerMetadata) string {
	return net.JoinHostPort(meta.Host, strconv.Itoa(int(meta.Port)))
}

// lookAround asks for an answer when none has come for a while, until the client is closed: a producer that nobody sends to knows of an outage,
// too, and of its end.
func (p *producer) lookAround() {
	tick := time.NewTicker(lookAround)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case now := <-tick.C:
			if heard := time.Unix(0, p.log.heard.Load()); !heard.Before(last) {
				last = now
				continue
			}
			last = now
		case <-p.closing.Done():
			return
		}
		ctx, cancel := context.WithTimeout(p.closing, lookAround)
		err := p.client.Ping(ctx)
		cancel()
		switch {
		case p.closing.Err() != nil:
			return
		case err == nil:
			p.log.heard.Store(p.log.now().UnixNano())
		default:
			p.log.warn(anyBroker, "no broker answers", "error", err)
		}
	}
}

// Trouble implements flow.Troubled: what the producer meets. In a transaction the source has the client, and speaks of it.
func (s *sink) Trouble() (since time.Time, err error) {
	if s.producer == nil {
		return time.Time{}, nil
	}
	return s.producer.log.worst()
}

var (
	_ flow.Troubled = (*source)(nil)
	_ flow.Troubled = (*transactor)(nil)
	_ flow.Troubled = (*sink)(nil)
)
