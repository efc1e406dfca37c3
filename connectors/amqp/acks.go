package amqp

import "sync"

// acknowledger is the part of a channel that answers deliveries.
type acknowledger interface {
	Ack(tag uint64, multiple bool) error
	Nack(tag uint64, multiple, requeue bool) error
}

// acks answers the deliveries of one channel: the contiguous settled prefix with one frame, what is settled behind a hole one by one
// and not at once, since the hole mostly closes soon. A channel that is gone has nothing to answer: the broker delivers again.
type acks struct {
	mu sync.Mutex
	to acknowledger
	// marks[i] is about the tag first+i. All tags before first are answered.
	first uint64
	marks []mark
}

type mark uint8

const (
	pending  mark = iota // with the engine, or not delivered yet
	settled              // done, the broker does not know yet
	waiting              // settled, and was so at the last flush
	answered             // the broker knows
)

func newAcks(to acknowledger) *acks { return &acks{to: to, first: 1} }

// outcome is what becomes of a delivery.
type outcome uint8

const (
	requeue     outcome = iota // it goes back to the queue
	acknowledge                // it is done
	reject                     // it goes to the queue's dead-letter exchange, or is gone where there is none
)

// settle takes the results of deliveries with rising tags.
func (a *acks) settle(n int, result func(i int) (tag uint64, is outcome)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range n {
		tag, is := result(i)
		if tag < a.first {
			continue
		}
		at := tag - a.first
		for uint64(len(a.marks)) <= at {
			a.marks = append(a.marks, pending)
		}
		if is == acknowledge {
			a.marks[at] = settled
			continue
		}
		_ = a.to.Nack(tag, false, is == requeue)
		a.marks[at] = answered
	}
	a.advance()
}

// advance acknowledges the prefix.
func (a *acks) advance() {
	n, last := 0, uint64(0)
	for n < len(a.marks) && a.marks[n] != pending {
		if a.marks[n] != answered {
			last = a.first + uint64(n)
		}
		n++
	}
	if last != 0 {
		// The tag has to be one that the broker still waits for; it answers the ones before it too.
		_ = a.to.Ack(last, true)
	}
	a.marks = append(a.marks[:0], a.marks[n:]...)
	a.first += uint64(n)
}

// flush acknowledges what has been settled behind a hole since the last flush or longer; all of it when the channel is about to end.
func (a *acks) flush(all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, m := range a.marks {
		switch {
		case m == waiting, m == settled && all:
			_ = a.to.Ack(a.first+uint64(i), false)
			a.marks[i] = answered
		case m == settled:
			a.marks[i] = waiting
		}
	}
}
