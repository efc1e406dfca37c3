package throttle

import (
	"container/list"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/pipelines/config"
)

// maxKeys is how many keys are told apart.
const maxKeys = 100_000

// longKey is how long a key may be to be kept as it is; of a longer one its SHA-256 is kept.
const longKey = 64

// limits hold, for each key, when the next message would pass if all passed evenly: the generic cell rate algorithm (ITU-T I.371), which
// lets a message be early by as much as a burst takes. A key whose time has passed is as good as one that was never seen.
type limits struct {
	gap   time.Duration // between two messages that pass evenly
	early time.Duration // how much too early a message may be
	most  int

	mu    sync.Mutex
	keys  map[string]*list.Element
	order *list.List // of entries, the one used last in front
}

type entry struct {
	key  string
	next time.Time
}

func newLimits(r config.Rate, most int) *limits {
	gap := max(1, r.Interval())
	burst := max(1, int64(r.N))
	return &limits{gap: gap, early: time.Duration(burst-1) * gap, most: most, keys: map[string]*list.Element{}, order: list.New()}
}

// pass lets a message of a key pass when it is not too early.
func (l *limits) pass(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(key, now)
	if e.next.Sub(now) > l.early {
		return false
	}
	e.advance(now, l.gap)
	return true
}

// reserve lets a message of a key pass, and tells how long it has to wait first.
func (l *limits) reserve(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(key, now)
	left := time.Duration(0)
	if e.next.After(now) {
		left = max(0, e.next.Sub(now)-l.early)
	}
	e.advance(now, l.gap)
	return left
}

func (e *entry) advance(now time.Time, gap time.Duration) {
	if e.next.Before(now) {
		e.next = now
	}
	e.next = e.next.Add(gap)
}

// entry finds or makes the entry of a key; the lock is held.
func (l *limits) entry(key string, now time.Time) *entry {
	if len(key) > longKey {
		sum := sha256.Sum256([]byte(key))
		key = string(sum[:])
	}
	if found, ok := l.keys[key]; ok {
		l.order.MoveToFront(found)
		e, _ := found.Value.(*entry)
		return e
	}
	l.expire(now)
	e := &entry{key: strings.Clone(key)} // it may point into the message
	l.keys[e.key] = l.order.PushFront(e)
	return e
}

// expire makes room for one more key: it forgets, from the back, some whose time has passed, and the last one when there are too many.
func (l *limits) expire(now time.Time) {
	for range 2 { // more go than come
		last := l.order.Back()
		if last == nil {
			return
		}
		e, _ := last.Value.(*entry)
		if e.next.After(now) && len(l.keys) < l.most {
			return
		}
		l.order.Remove(last)
		delete(l.keys, e.key)
	}
}
