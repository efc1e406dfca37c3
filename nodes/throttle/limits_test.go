package throttle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millstream/millstream/pipelines/config"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func passed(l *limits, key string, now time.Time, tries int) (n int) {
	for range tries {
		if l.pass(key, now) {
			n++
		}
	}
	return n
}

func TestABurstPassesAndThenMessagesPassEvenly(t *testing.T) {
	l, now := newLimits(config.Rate{N: 10, Per: time.Second}, 100), start
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 10}, {99 * time.Millisecond, 0}, {time.Millisecond, 1}, {time.Second / 2, 5}, {time.Hour, 10}, {0, 0}} {
		now = now.Add(step.after)
		if n := passed(l, "", now, 50); n != step.want {
			t.Errorf("%s later %d pass, want %d", step.after, n, step.want)
		}
	}
}

func TestWhatWaitsIsToldHowLong(t *testing.T) {
	l := newLimits(config.Rate{N: 2, Per: time.Minute}, 100)
	for i, want := range []time.Duration{0, 0, 30 * time.Second, time.Minute, 90 * time.Second} {
		if left := l.reserve("k", start); left != want {
			t.Errorf("message %d waits %s, want %s", i, left, want)
		}
	}
	if left := l.reserve("k", start.Add(2*time.Minute)); left != 0 {
		t.Errorf("later it waits %s", left)
	}
}

func TestARateBelowOneLetsOnePass(t *testing.T) {
	l := newLimits(config.Rate{N: 0.5, Per: time.Second}, 100)
	if n := passed(l, "", start, 5); n != 1 {
		t.Errorf("%d pass", n)
	}
	if l.pass("", start.Add(1999*time.Millisecond)) || !l.pass("", start.Add(2*time.Second)) {
		t.Error("the next one does not pass after two seconds")
	}
}

func TestEachKeyHasARateOfItsOwnAndTheirNumberIsBounded(t *testing.T) {
	l := newLimits(config.Rate{N: 1, Per: time.Hour}, 100)
	for i := range 100 {
		if n := passed(l, fmt.Sprint(i), start, 2); n != 1 {
			t.Errorf("%d pass for key %d", n, i)
		}
	}
	if l.pass("0", start) {
		t.Error("a key that was seen passes again")
	}
	if passed(l, "new", start, 2) != 1 || len(l.keys) > 100 || l.order.Len() != len(l.keys) {
		t.Errorf("%d keys", len(l.keys))
	}
	if l.pass("0", start) || !l.pass("1", start) {
		t.Error("it is not the key that has not come for the longest time that begins anew")
	}
}

func TestKeysWhoseTimeHasPassedAreForgotten(t *testing.T) {
	l := newLimits(config.Rate{N: 1, Per: time.Second}, 1000)
	for i := range 500 {
		l.pass(fmt.Sprint(i), start)
	}
	for i := range 500 {
		l.pass(fmt.Sprint("x", i), start.Add(time.Hour))
	}
	if n := len(l.keys); n > 501 {
		t.Errorf("%d keys are kept", n)
	}
}

func TestLongKeysAreToldApartAndNotKept(t *testing.T) {
	l := newLimits(config.Rate{N: 1, Per: time.Second}, 1000)
	long := strings.Repeat("x", 1<<20)
	if !l.pass(long+"a", start) || !l.pass(long+"b", start) || l.pass(long+"a", start) {
		t.Error("long keys are mixed up")
	}
	for key := range l.keys {
		if len(key) > longKey {
			t.Errorf("a key of %d bytes is kept", len(key))
		}
	}
}
