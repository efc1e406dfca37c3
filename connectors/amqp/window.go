package amqp

import (
	"bytes"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

// window is what was published on one channel and is not confirmed yet, in the order of publishing.
//
// A returned message has no number. RabbitMQ returns unroutable messages in the order in which they were published, each before it
// confirms it; confirms of other messages come in between, and several at once. So a return belongs to the first message behind the
// last returned one that looks the same: exchange, routing key, ids, payload, headers. If several look the same it does not matter
// which of them is meant: they are told apart by nothing that a consumer could see.
type window struct {
	mu      sync.Mutex
	entries []*entry // from the oldest
	room    chan struct{}
	returns int // how many entries from the front can not be the next return's any more
	ended   bool
}

// entry is one message that was published.
type entry struct {
	out     *flow.Outgoing
	call    *call
	pub     *publishing
	key     string
	at      time.Time
	confirm *amqp.DeferredConfirmation
	// mu guards pub, which is changed once: when somebody answers the entry while it is still in the window.
	mu sync.Mutex
	// returned is what the broker said when it returned the message.
	returned *flow.Error
	answered atomic.Bool
}

// answer gives a message its result, once.
func (e *entry) answer(err error) {
	if e.answered.Swap(true) {
		return
	}
	e.out.Err = err
	e.call.oneDone()
}

// abandon answers a message that stays in the window: the broker may still return it. What it looks like is kept in memory of its own,
// since the caller's is used again.
func (e *entry) abandon(err error) {
	if e.answered.Swap(true) {
		return
	}
	e.mu.Lock()
	e.pub = e.pub.own()
	e.mu.Unlock()
	e.out.Err = err
	e.call.oneDone()
}

// content is the message as it is or was published.
func (e *entry) content() *publishing {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pub
}

// own copies a publishing with the bytes in it.
func (p *publishing) own() *publishing {
	c := *p
	c.message.Body = bytes.Clone(p.message.Body)
	if p.message.Headers != nil {
		c.message.Headers, _ = ownField(p.message.Headers).(amqp.Table)
	}
	return &c
}

func ownField(v any) any {
	switch v := v.(type) {
	case []byte:
		return bytes.Clone(v)
	case amqp.Table:
		t := make(amqp.Table, len(v))
		for name, e := range v {
			t[name] = ownField(e)
		}
		return t
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = ownField(e)
		}
		return l
	}
	return v
}

const maxWindow = 2048

func newWindow() *window { return &window{room: make(chan struct{}, maxWindow)} }

// add puts a message behind the others; false when the channel has ended.
func (w *window) add(e *entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	w.entries = append(w.entries, e)
	return true
}

// oldest is the message that is to be confirmed next; nil when there is none.
func (w *window) oldest() *entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entries) == 0 {
		return nil
	}
	return w.entries[0]
}

// pop removes the oldest message.
func (w *window) pop() {
	w.mu.Lock()
	w.entries[0] = nil
	w.entries = w.entries[1:]
	w.returns = max(0, w.returns-1)
	w.mu.Unlock()
	<-w.room
}

// end takes all that is left; nothing can be added any more.
func (w *window) end() []*entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.entries
	w.entries, w.ended = nil, true
	return left
}

// took notes a returned message. It reports false when no message of the window looks like it.
func (w *window) took(r *amqp.Return) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := w.returns; i < len(w.entries); i++ {
		if e := w.entries[i]; e.looksLike(r) {
			e.returned = flow.Errorf(flow.Permanent, flow.CodeUnroutable, "no queue takes messages to exchange %q with routing key %q: %d %s",
				r.Exchange, r.RoutingKey, r.ReplyCode, r.ReplyText)
			w.returns = i + 1
			return true
		}
	}
	return false
}

// looksLike holds the lock, so that the bytes are not given away meanwhile.
func (e *entry) looksLike(r *amqp.Return) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := &e.pub.message
	return e.pub.mandatory && e.key == r.RoutingKey && e.pub.exchange == r.Exchange && m.MessageId == r.MessageId &&
		m.CorrelationId == r.CorrelationId && m.Type == r.Type && sameSecond(m.Timestamp, r.Timestamp) &&
		bytes.Equal(m.Body, r.Body) && sameTable(m.Headers, r.Headers)
}

// sameTable compares what was written with what was read of it.
func sameTable(wrote, read amqp.Table) bool {
	if len(wrote) != len(read) {
		return false
	}
	for name, v := range wrote {
		other, ok := read[name]
		if !ok || !sameField(v, other) {
			return false
		}
	}
	return true
}

func sameField(wrote, read any) bool {
	switch w := wrote.(type) {
	case time.Time:
		r, ok := read.(time.Time)
		return ok && w.Unix() == r.Unix()
	case amqp.Table:
		r, ok := read.(amqp.Table)
		return ok && sameTable(w, r)
	case []any:
		r, ok := read.([]any)
		if !ok || len(w) != len(r) {
			return false
		}
		for i := range w {
			if !sameField(w[i], r[i]) {
				return false
			}
		}
		return true
	case []byte:
		r, ok := read.([]byte)
		return ok && bytes.Equal(w, r)
	case float32:
		r, ok := read.(float32)
		return ok && (w == r || w != w && r != r)
	case float64:
		r, ok := read.(float64)
		return ok && (w == r || w != w && r != r)
	}
	return reflect.DeepEqual(wrote, read)
}

// sameSecond compares timestamps as AMQP carries them; the zero time is none.
func sameSecond(a, b time.Time) bool {
	return a.IsZero() == b.IsZero() && (a.IsZero() || a.Unix() == b.Unix())
}
