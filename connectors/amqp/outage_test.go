package amqp

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
)

var errAway = errors.New("nobody answers")

// tries lets some components try to connect to a broker that is away for so long, and counts.
func tries(away time.Duration, components int) (attempts []time.Duration, lines string) {
	var mu sync.Mutex
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil)) // which writes one line at a time
	began, s := time.Now(), newShared()
	var all sync.WaitGroup
	for range components {
		all.Go(func() {
			o := outage{log: logger, shared: s}
			o.lost(errAway)
			for o.wait(nil) {
				mu.Lock()
				attempts = append(attempts, time.Since(began))
				mu.Unlock()
				if time.Since(began) >= away {
					o.tried(nil)
					o.over()
					return
				}
				o.tried(errAway)
				o.lost(errAway)
			}
		})
	}
	all.Wait()
	return attempts, log.String()
}

func TestAttemptsToConnectAreFewHoweverManyComponentsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const away = time.Minute
		for _, components := range []int{1, 5} {
			attempts, _ := tries(away, components)
			late := 0
			for _, at := range attempts {
				if at > 10*time.Second && at < away {
					late++
				}
			}
			if late > 50 || late < 30 {
				t.Errorf("%d components tried %d times in 50 s", components, late)
			}
			if last := attempts[len(attempts)-1]; last > away+2*time.Second {
				t.Errorf("the last of %d components was back %s after the broker", components, last-away)
			}
		}
	})
}

func TestAnOutageIsSpokenOfAtOnceAndThenNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, lines := tries(time.Minute, 1)
		if n := strings.Count(lines, "the connection is lost"); n < 5 || n > 7 {
			t.Errorf("%d warnings in a minute:\n%s", n, lines)
		}
		if n := strings.Count(lines, "the connection is open again"); n != 1 || !strings.Contains(lines, "attempts=5") {
			t.Errorf("%d lines say that it is over:\n%s", n, lines)
		}
	})
}

func TestAnotherReasonIsSpokenOfAtOnceAndAShortReturnIsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := outage{log: slog.New(slog.NewTextHandler(&log, nil)), shared: newShared()}
		refused := flow.Errorf(flow.ConfigError, flow.CodeAuth, "refused")
		o.lost(errAway)
		o.lost(errAway)
		o.lost(refused)
		for range 50 { // it connects, and is lost at once
			o.over()
			time.Sleep(100 * time.Millisecond)
			o.lost(refused)
		}
		o.over()
		time.Sleep(stable + time.Second)
		o.lost(refused)
		if n := strings.Count(log.String(), "the connection is lost"); n != 3 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
		if n := strings.Count(log.String(), "open again"); n != 1 {
			t.Errorf("%d lines say that it is over:\n%s", n, log.String())
		}
	})
}

func TestComponentsThatFailAfterConnectingDoNotDriveEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newShared(), 0
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 3 {
			all.Go(func() {
				o := outage{log: slog.New(slog.DiscardHandler), shared: s}
				for began := time.Now(); time.Since(began) < time.Minute; {
					o.lost(errAway)
					o.wait(nil)
					o.tried(nil) // the broker is there, the queue is not
					mu.Lock()
					n++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if n > 3*65 {
			t.Errorf("they connected %d times in a minute", n)
		}
	})
}

func TestWhoWaitsNoMoreHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := newShared(), time.Now()
		var mu sync.Mutex
		var turns []time.Duration
		var all sync.WaitGroup
		stopped := make(chan struct{})
		for i := range 20 {
			done := stopped
			if i%2 == 1 {
				done = nil
			}
			time.Sleep(time.Millisecond) // they come in this order
			all.Go(func() {
				if s.wait(3, true, done) {
					mu.Lock()
					turns = append(turns, time.Since(began))
					mu.Unlock()
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		close(stopped)
		all.Wait()
		if len(turns) != 10 {
			t.Fatalf("%d of 10 had a turn", len(turns))
		}
		for i := 1; i < len(turns); i++ {
			if gap := turns[i] - turns[i-1]; gap < time.Second || gap > 1300*time.Millisecond {
				t.Errorf("turn %d came %s after the one before", i+1, gap)
			}
		}
		began = time.Now()
		gone := make(chan struct{})
		for range 20 {
			all.Go(func() { s.wait(3, true, gone) })
		}
		time.Sleep(100 * time.Millisecond)
		close(gone)
		all.Wait()
		if !s.wait(0, true, nil) || time.Since(began) > 1300*time.Millisecond {
			t.Errorf("the next one waited %s", time.Since(began))
		}
	})
}
