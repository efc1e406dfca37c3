package engine

import (
	"context"
	"time"

	"github.com/millstream/millstream/flow"
)

// Pause says why a pipeline is paused.
type Pause struct {
	Since time.Time `json:"since"`
	// Node is where the message failed that the pipeline waits with, Origin where the message came from.
	Node    string `json:"node"`
	Class   string `json:"class"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Origin  string `json:"origin"`
}

// Paused says why the pipeline is paused, by the first message that made it so; nil while it is not. Secrets are masked.
func (h *Pipeline) Paused() *Pause {
	p := h.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != Paused {
		return nil
	}
	return p.pausedBy
}

// setPaused stops intake until Resume; the channel it returns is closed then.
func (p *pipeline) setPaused(cause *flow.Error, origin string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed == nil {
		mask := *p.mask.Load()
		p.resumed = make(chan struct{})
		p.pausedBy = &Pause{
			Since: time.Now().UTC(), Node: cause.Node, Class: cause.Class.String(), Code: string(cause.Code), Message: mask(cause.Message),
			Origin: mask(origin),
		}
		if p.state == Running {
			p.state = Paused
		}
		p.log.Error("pipeline paused: it stops reading, and the message waits until a reload (millstream reload does, also of unchanged files) or a restart tries it again; "+
			"name a sink in on_error to let such messages go there",
			"node", cause.Node, "origin", origin, "class", cause.Class.String(), "code", string(cause.Code), "error", cause.Message)
	}
	return p.resumed
}

func (p *pipeline) unpause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil {
		close(p.resumed)
		p.resumed, p.pausedBy = nil, nil
		if p.state == Paused {
			p.state = Running
		}
	}
}

// tellEnd tells the log that the pipeline has ended; the lock is held. One that never ran has nothing to tell: who started it knows why.
func (p *pipeline) tellEnd() {
	tell := p.log.Info
	if !p.ran {
		tell = p.log.Debug
	}
	b := p.count.balance()
	args := []any{
		"state", p.state, "in", b.In, "delivered", b.Delivered, "filtered", b.Filtered, "dropped", b.Dropped, "dead_lettered", b.DeadLettered,
		"in_flight", b.InFlight, "returned", b.Returned, "retries", b.Retries, "resent", b.Resent, "optional_dropped", b.OptionalDropped,
	}
	if p.failure != nil {
		args = append(args, "error", p.failure)
	}
	tell("pipeline ended", args...)
}

// whilePaused waits until the pipeline is not paused.
func (p *pipeline) whilePaused(ctx context.Context) error {
	for {
		p.mu.Lock()
		resumed := p.resumed
		p.mu.Unlock()
		if resumed == nil {
			return ctx.Err()
		}
		select {
		case <-resumed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
