package kafka

import (
	"strings"
	"time"

	"github.com/millstream/millstream/flow"
)

// believed is how long a trouble that is not known to be over is taken to go on: everything that matters is tried again sooner.
const believed = 15 * time.Second

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

// worst is since when something is wrong, and what, by what has been wrong for the longest time. What names no broker is over once any
// of them has answered.
func (q *quiet) worst() (since time.Time, err error) {
	if q.open.Load() == 0 {
		return time.Time{}, nil
	}
	heard := time.Unix(0, q.heard.Load())
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for _, t := range q.troubles {
		if !t.open || t.err == nil || now.Sub(t.seen) > believed || t.where == anyBroker && heard.After(t.seen) {
			continue
		}
		if err == nil || t.since.Before(since) {
			since, err = t.since, t.err
		}
	}
	return since, err
}

// Trouble implements flow.Troubled: what the client of the group meets while it connects, reads or commits.
func (s *source) Trouble() (since time.Time, err error) { return s.log.worst() }

// Trouble implements flow.Troubled.
func (s *transactor) Trouble() (since time.Time, err error) { return s.member.log.worst() }

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
