package kafka

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// sayAgain is how long the same trouble is not spoken of again.
	sayAgain = 10 * time.Second
	// forgetAfter is how long a trouble is remembered that neither comes again nor is known to be over.
	forgetAfter = time.Minute
	// maxAtOnce is how often a trouble that ends and comes back at once is spoken of within sayAgain.
	maxAtOnce = 3
	// maxTroubles bounds how many troubles are told apart by their errors.
	maxTroubles = 64
)

// quiet is a log of what goes wrong again and again while a broker is away: it says at once what is new, what it has said before every ten
// seconds, with the number of times that it was left out, and that it is over. It is what franz-go logs to, and knows from its reads when a
// broker is back. Its errors and warnings are about things that it retries, so they are no more than warnings and notes here; what it says
// at its levels info and debug is left out.
type quiet struct {
	log *slog.Logger
	now func() time.Time
	// open is how many troubles are not over.
	open atomic.Int32
	// heard is when a broker answered last, in nanoseconds.
	heard atomic.Int64

	mu       sync.Mutex
	troubles map[string]*trouble
}

// trouble is one thing that goes wrong somewhere.
type trouble struct {
	where string
	open  bool
	// since is when it began, seen when it was last met, said when it was last spoken of.
	since, seen, said time.Time
	// spoken: this time it was spoken of; times is how often at its beginning within sayAgain.
	spoken bool
	times  int
	left   int
	err    error // what went wrong last; nil where that is no error
}

func newQuiet(log *slog.Logger) *quiet {
	return &quiet{log: log, now: time.Now, troubles: map[string]*trouble{}}
}

// anyBroker is where what the client says happens that names no broker.
const anyBroker = "the client"

// Level implements kgo.Logger.
func (*quiet) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (q *quiet) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	write := q.log.Info
	if level == kgo.LogLevelError {
		write = q.log.Warn
	}
	where := anyBroker
	for i := 0; i+1 < len(keyvals); i += 2 {
		if err, ok := keyvals[i+1].(error); ok && isAny(err, kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed) {
			return // whoever wanted it gets the error, and says so
		}
		if key := keyvals[i]; key == "addr" || key == "broker" && where == anyBroker {
			where = fmt.Sprint(keyvals[i+1])
		}
	}
	q.say(write, where, "kafka client: "+msg, keyvals...)
}

// OnBrokerRead implements kgo.HookBrokerRead: a broker that answers more than greetings is back.
func (q *quiet) OnBrokerRead(meta kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	const saslHandshake, apiVersions, saslAuthenticate = 17, 18, 36
	if q.silent(meta, err) || err != nil || key == saslHandshake || key == apiVersions || key == saslAuthenticate {
		return
	}
	q.heard.Store(q.now().UnixNano())
	if q.open.Load() == 0 {
		return
	}
	q.over("the broker answers again", addressOf(meta), kgo.NodeName(meta.NodeID))
	if q.calm(anyBroker) {
		q.over("it works again", anyBroker)
	}
}

// calm tells whether no trouble of that place was met for a while.
func (q *quiet) calm(where string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget()
	for _, t := range q.troubles {
		if t.where == where && t.open && q.now().Sub(t.seen) < sayAgain {
			return false
		}
	}
	return true
}

// say writes what goes wrong somewhere, unless it has just been said.
func (q *quiet) say(write func(msg string, args ...any), where, msg string, args ...any) {
	q.mu.Lock()
	t, now := q.trouble(where, msg, args), q.now()
	if !t.open {
		if now.Sub(t.said) >= sayAgain {
			t.times = 0
		}
		t.open, t.since, t.spoken = true, now, false
		q.open.Add(1)
	}
	t.seen, t.err = now, said(msg, args)
	again := now.Sub(t.said) >= sayAgain
	if !again && (t.spoken || t.times >= maxAtOnce) {
		t.left++
		q.mu.Unlock()
		return
	}
	if !t.spoken {
		t.times++
	}
	left := t.left
	t.said, t.spoken, t.left = now, true, 0
	q.mu.Unlock()
	if left > 0 {
		args = append(args[:len(args):len(args)], "left_out", left)
	}
	write(msg, args...)
}

// warn is say for the product's own retries.
func (q *quiet) warn(where, msg string, args ...any) { q.say(q.log.Warn, where, msg, args...) }

// ownEnd is the near end of a connection in the text of an error: another one each time.
var ownEnd = regexp.MustCompile(`\S+->`)

// trouble finds the one that is meant; the lock is held. Partitions of a topic are not told apart.
func (q *quiet) trouble(where, msg string, args []any) *trouble {
	key := where + "\x00" + msg
	if len(q.troubles) >= maxTroubles {
		q.forget()
	}
	if len(q.troubles) < maxTroubles {
		for i := 0; i+1 < len(args); i += 2 {
			switch args[i] {
			case "err", "error":
				key += "\x00" + ownEnd.ReplaceAllString(fmt.Sprint(args[i+1]), "")
			case "topic", "req":
				key += "\x00" + fmt.Sprint(args[i+1])
			}
		}
	}
	t, ok := q.troubles[key]
	if !ok {
		t = &trouble{where: where}
		q.troubles[key] = t
	}
	return t
}

// over says that the troubles of those places are over, if there were any.
func (q *quiet) over(msg string, where ...string) {
	if q.open.Load() == 0 {
		return
	}
	q.mu.Lock()
	var since time.Time
	left, spoken, now := 0, false, q.now()
	for _, t := range q.troubles {
		for _, w := range where {
			if t.where != w || !t.open {
				continue
			}
			if since.IsZero() || t.since.Before(since) {
				since = t.since
			}
			spoken = spoken || t.spoken
			left += t.left
			t.open, t.left = false, 0
			q.open.Add(-1)
		}
	}
	q.mu.Unlock()
	if !spoken {
		return
	}
	args := []any{"of", strings.Join(where[:1], ""), "after", now.Sub(since).Round(time.Millisecond)}
	if left > 0 {
		args = append(args, "left_out", left)
	}
	q.log.Info(msg, args...)
}

// forget drops what has not been met for a while; the lock is held.
func (q *quiet) forget() {
	now := q.now()
	for key, t := range q.troubles {
		if now.Sub(t.seen) < forgetAfter {
			continue
		}
		if t.open {
			q.open.Add(-1)
		}
		delete(q.troubles, key)
	}
}
