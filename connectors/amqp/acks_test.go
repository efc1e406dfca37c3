package amqp

import (
	"fmt"
	"strings"
	"testing"
)

// answers notes what is answered, and refuses what a broker would close the channel for.
type answers struct {
	t       *testing.T
	open    map[uint64]bool
	said    []string
	settled map[uint64]bool
}

func newAnswers(t *testing.T, n uint64) *answers {
	w := &answers{t: t, open: map[uint64]bool{}, settled: map[uint64]bool{}}
	for tag := uint64(1); tag <= n; tag++ {
		w.open[tag] = true
	}
	return w
}

func (w *answers) Ack(tag uint64, multiple bool) error {
	if !w.open[tag] {
		w.t.Errorf("the unknown tag %d was acknowledged", tag)
	}
	for k := range w.open {
		if k == tag || multiple && k < tag {
			if !w.settled[k] {
				w.t.Errorf("the tag %d was acknowledged and is not settled", k)
			}
			delete(w.open, k)
		}
	}
	w.said = append(w.said, strings.TrimSuffix(fmt.Sprintf("ack %d multiple", tag), map[bool]string{false: " multiple"}[multiple]))
	return nil
}

func (w *answers) Nack(tag uint64, multiple, requeue bool) error {
	if !w.open[tag] || multiple {
		w.t.Errorf("nack of %d, known %v, multiple %v, requeue %v", tag, w.open[tag], multiple, requeue)
	}
	delete(w.open, tag)
	w.said = append(w.said, fmt.Sprintf("%s %d", map[bool]string{true: "nack", false: "reject"}[requeue], tag))
	return nil
}

func TestDeliveriesAreAnsweredByPrefixAndBehindHolesLater(t *testing.T) {
	tests := []struct {
		name string
		do   func(a *acks, settle func(is outcome, tags ...uint64))
		want string
	}{
		{
			name: "a prefix is one frame",
			do:   func(_ *acks, settle func(outcome, ...uint64)) { settle(acknowledge, 1, 2, 3) },
			want: "ack 3 multiple",
		},
		{
			name: "batches that come back out of order are one frame",
			do: func(_ *acks, settle func(outcome, ...uint64)) {
				settle(acknowledge, 3, 4)
				settle(acknowledge, 1, 2)
			},
			want: "ack 4 multiple",
		},
		{
			name: "behind a hole the second flush answers one by one",
			do: func(a *acks, settle func(outcome, ...uint64)) {
				settle(acknowledge, 2, 3)
				a.flush(false)
				settle(acknowledge, 4)
				a.flush(false)
				settle(acknowledge, 1)
			},
			want: "ack 2; ack 3; ack 4 multiple",
		},
		{
			name: "the last flush answers all",
			do: func(a *acks, settle func(outcome, ...uint64)) {
				settle(acknowledge, 2, 4)
				a.flush(true)
			},
			want: "ack 2; ack 4",
		},
		{
			name: "unsettled ones go back at once and do not hold the prefix up",
			do: func(_ *acks, settle func(outcome, ...uint64)) {
				settle(acknowledge, 1)
				settle(requeue, 2)
				settle(acknowledge, 3)
				settle(requeue, 4)
			},
			want: "ack 1 multiple; nack 2; ack 3 multiple; nack 4",
		},
		{
			name: "rejected ones do not go back and do not hold the prefix up",
			do: func(_ *acks, settle func(outcome, ...uint64)) {
				settle(acknowledge, 1)
				settle(reject, 2)
				settle(acknowledge, 3)
			},
			want: "ack 1 multiple; reject 2; ack 3 multiple",
		},
		{
			name: "a prefix that ends with an answered tag names the last open one",
			do: func(_ *acks, settle func(outcome, ...uint64)) {
				settle(acknowledge, 2)
				settle(requeue, 3)
				settle(acknowledge, 1)
			},
			want: "nack 3; ack 2 multiple",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newAnswers(t, 9)
			a := newAcks(w)
			test.do(a, func(is outcome, tags ...uint64) {
				for _, tag := range tags {
					w.settled[tag] = is == acknowledge
				}
				a.settle(len(tags), func(i int) (uint64, outcome) { return tags[i], is })
			})
			if got := strings.Join(w.said, "; "); got != test.want {
				t.Errorf("answered %q, want %q", got, test.want)
			}
		})
	}
}
