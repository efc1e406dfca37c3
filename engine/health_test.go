package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
)

// lockedBuffer takes what a logger writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestBacklogGoesOutAtOnceAfterAnOutage(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		bubble(t, fmt.Sprintf("keyed %t", keyed), func(t *testing.T) {
			var down atomic.Bool
			down.Store(true)
			log := &lockedBuffer{}
			r := newRig(t, 1)
			r.engine = New(Options{Logger: slog.New(slog.NewTextHandler(log, nil)), Instance: "test"})
			r.sinks[0].Answer = func(*flow.Outgoing) error {
				if down.Load() {
					return errors.New("connection refused")
				}
				return nil
			}
			r.start()
			const n = 2000
			for i := 0; i < n; i += 100 {
				bodies := make([]string, 100)
				for k := range bodies {
					bodies[k] = fmt.Sprintf("m%d", i+k)
					if keyed {
						bodies[k] = fmt.Sprintf("k%d:m%d", i+k, i+k)
					}
				}
				r.feed(bodies...)
			}
			time.Sleep(5 * time.Minute) // every message is deep in its backoff
			down.Store(false)
			for len(r.sinks[0].Delivered()) == 0 {
				time.Sleep(time.Millisecond)
			}
			// The first message went through: from now on no message waits for a pause of its own.
			first := time.Now()
			for len(r.in.Settled()) < n {
				time.Sleep(time.Millisecond)
				if time.Since(first) > 2*time.Second {
					t.Fatalf("%d of %d messages are settled 2 s after the first", len(r.in.Settled()), n)
				}
			}
			synctest.Wait()
			if got := log.String(); strings.Count(got, "level=WARN") < 1 || strings.Count(got, "level=WARN") > 15 ||
				!strings.Contains(got, "connection refused") || !strings.Contains(got, "sink works again") {
				t.Errorf("the log does not tell of the outage in few lines:\n%s", got)
			}
			r.in.End(nil)
			<-r.p.Done()
			r.settled(n, 0)
		})
	}
}
