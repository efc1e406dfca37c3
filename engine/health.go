package engine

import (
	"context"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// health watches one sink: it tells the log when a sink begins to fail and when it works again, and wakes those that wait to try again.
type health struct {
	mu        sync.Mutex
	failing   bool
	failures  int64 // since it began to fail
	logged    time.Time
	trouble   *flow.Error   // what was wrong, where that is no message's own fault; nil while it works
	since     time.Time     // of trouble
	recovered chan struct{} // closed when it works again; nil while it works
}

// repeatWarning is how often a sink that goes on failing is reported.
const repeatWarning = 30 * time.Second

// answered notes the results of a send.
func (s *sinkRun) answered(hard context.Context, outs []*flow.Outgoing) {
	var failure error
	failed := 0
	for _, o := range outs {
		if o.Err != nil {
			failure = o.Err
			failed++
		}
	}
	if failure != nil && hard.Err() != nil {
		return // the pipeline stops: that is no failure of the sink
	}
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if failed < len(outs) {
		s.worksLocked()
	}
	if failure == nil {
		return
	}
	h.failures += int64(failed)
	if failed == len(outs) && !h.failing {
		h.failing = true
		h.recovered = make(chan struct{})
	}
	now, e := time.Now(), s.failure(failure)
	if failed == len(outs) && e.Class != flow.Permanent && e.Class != flow.Poison {
		if h.trouble == nil {
			h.since = now
		}
		h.trouble = e
	}
	if now.Sub(h.logged) > repeatWarning {
		h.logged = now
		s.p.log.Warn("sink failed; what is transient is tried again, the rest goes by on_error", "node", e.Node,
			"class", e.Class.String(), "code", string(e.Code), "error", e.Message, "failed_sends", h.failures)
	}
}

// works notes that the sink works, and wakes those that wait for that.
func (s *sinkRun) works() {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	s.worksLocked()
}

func (s *sinkRun) worksLocked() {
	h := &s.health
	if !h.failing {
		return
	}
	h.failing = false
	close(h.recovered)
	h.recovered, h.trouble = nil, nil
	s.p.log.Info("sink works again", "node", s.name, "failed_sends", h.failures)
	h.failures = 0
}

// recovery is closed when a sink that fails now works again; nil when it does not fail.
func (s *sinkRun) recovery() <-chan struct{} {
	if s == nil {
		return nil
	}
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.recovered
}
