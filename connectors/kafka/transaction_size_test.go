package kafka

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// logged keeps what is written to a log.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// count is how many lines hold a text.
func (l *logged) count(text string) (n int) {
	for line := range strings.Lines(l.text()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func TestTransactionsAreAsLargeAsTheTimeAllows(t *testing.T) {
	a := newAllowance(30 * time.Second)
	check := func(what string, want int) {
		t.Helper()
		if a.most != want {
			t.Errorf("%s: at most %d records, want %d", what, a.most, want)
		}
	}
	a.committed(100_000, time.Second)
	check("quick work has no bound", unbounded)
	a.committed(2000, 20*time.Second)
	check("work that took long is done in a third of the limit", 1000)
	a.late(300)
	check("half of what ended is next", 150)
	a.late(0)
	check("one is the least", 1)
	a.late(1)
	check("and stays so", 1)
	for _, want := range []int{2, 4, 8} {
		a.committed(a.most, 10*time.Millisecond)
		check("a full one is followed by twice as many", want)
	}
	a.committed(3, time.Millisecond)
	check("one that was not full says nothing", 8)
	a.committed(8, 8*time.Second)
	check("as many as fit", 10)
	for range 40 {
		a.committed(a.most, time.Millisecond)
	}
	check("quick work has no bound again", unbounded)
}
