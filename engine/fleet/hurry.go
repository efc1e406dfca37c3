package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// patience is how long an Apply waits for what cannot start.
type patience struct {
	mu   sync.Mutex
	over context.Context //nolint:containedctx // it lives as long as one Apply
	end  context.CancelFunc
}

// begin starts the patience of an Apply; end ends it.
func (p *patience) begin() (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over, p.end = context.WithCancel(context.Background())
	return p.end
}

// lost is closed when nothing is waited for any more.
func (p *patience) lost() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over.Done()
}

// limit is ctx until patience is lost.
func (p *patience) limit(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	stop := context.AfterFunc(p.over, cancel)
	return ctx, func() { stop(); cancel() }
}

// explain says why something that was given up failed; why is what it failed with before.
func (p *patience) explain(err, why error) error {
	select {
	case <-p.lost():
	default:
		return err
	}
	if why == nil || !errors.Is(err, context.Canceled) {
		why = err
	}
	return fmt.Errorf("it was not waited for any longer: %w", why)
}

// Hurry makes an Apply that is under way give up what has not connected by now, such as brokers that are down: what ran before runs on, and
// the next Apply tries again. What drains goes on. It does nothing when no Apply is under way.
func (f *Fleet) Hurry() {
	f.patience.mu.Lock()
	defer f.patience.mu.Unlock()
	if f.patience.end != nil {
		f.patience.end()
	}
}
