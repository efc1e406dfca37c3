package engine

import (
	"context"
	"slices"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// work is the retrier of a held key: it ends one item after the other, so that the key's order holds, and releases the key.
func (q *queue) work() {
	defer q.lane.p.retriers.Done()
	for {
		items := q.next()
		if items == nil {
			return
		}
		if len(items) > 1 {
			items = q.sendRun(items)
		}
		if len(items) == 0 {
			continue
		}
		q.putBack(items[1:])
		it := items[0]
		var to *sinkRun
		if it.out != nil {
			to = it.to()
		}
		hadFailed := it.err != nil
		end, left := q.lane.p.bring(q.lane, it)
		if left {
			q.leave()
			it.run.end(it.rec, end, true)
			return
		}
		recovered := hadFailed && it.out != nil && it.out.Err == nil
		it.run.end(it.rec, end, false) // what it sent may be gone from here on
		if recovered {
			q.tryAtOnce(to)
		}
	}
}

// tryAtOnce lets the messages that failed behind one that its sink has taken now go without a pause of their own: they failed for the
// same reason, and together they are sent as fast as a first attempt.
func (q *queue) tryAtOnce(sink *sinkRun) {
	q.lane.mu.Lock()
	defer q.lane.mu.Unlock()
	for _, it := range q.items {
		if it.out != nil && it.to() == sink && it.err != nil {
			it.atOnce = it.mayRetry()
		}
	}
}

// mayRetry tells whether the policy of the item's sink allows one more attempt after the failure it had.
func (i *item) mayRetry() bool {
	retries := i.policy().Retries
	return i.err.Class == flow.Transient && (i.letter != nil || retries < 0 || i.attempts <= retries)
}

// failedAgain notes one more failure of a send.
func (i *item) failedAgain() {
	i.attempts++
	i.err, i.atOnce = i.to().failure(i.out.Err), false
}

func (i *item) policy() pipelines.Policy { return i.run.g.prog.Sinks[i.sink].OnError }

// sendRun sends several messages that wait for one sink together, and returns those that are not done: from the first failure on all, of which
// those that are confirmed end in their turn, up to one that is tried again.
func (q *queue) sendRun(items []*item) (left []*item) {
	p := q.lane.p
	if p.giveUpNow(q.lane) {
		return items
	}
	outs := make([]*flow.Outgoing, len(items))
	for i, it := range items {
		outs[i] = it.out
	}
	items[0].to().sendAndWait(q.lane.source.hard, outs)
	for i, it := range items {
		if it.out.Err == nil {
			it.to().count.delivered.Add(1)
			if len(left) > 0 {
				it.sent = true
				left = append(left, it)
				continue
			}
			it.run.end(it.rec, it.goodEnd(), false)
			continue
		}
		it.failedAgain()
		if !it.isOver() {
			p.count.resent.Add(int64(len(items) - i - countErrors(outs[i:]))) // those behind it
			return append(left, items[i:]...)
		}
		left = append(left, it)
	}
	return left
}

// bring brings an item and all that it becomes to an end, one after another. It returns the worst end, or left when one of them could
// not be ended and the record stays at its source.
func (p *pipeline) bring(l *lane, first *item) (end flow.End, left bool) {
	waiting := []*item{first} // the last one is next
	for len(waiting) > 0 {
		it := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		sub, e, ok := p.advance(l, it)
		if !ok {
			return flow.Open, true
		}
		end = max(end, e)
		if sub != nil {
			waiting = append(waiting, sub.followUps()...)
			end = max(end, sub.ends[0])
		}
	}
	return end, false
}

// bringRun ends all that a sub-run produced.
func (p *pipeline) bringRun(l *lane, sub *run) (flow.End, bool) {
	items := sub.followUps()
	end := sub.ends[0]
	for _, it := range slices.Backward(items) {
		e, left := p.bring(l, it)
		if left {
			return flow.Open, true
		}
		end = max(end, e)
	}
	return end, false
}

// followUps are what a sub-run has left to do, the first at the end. What goes to optional sinks is offered at once.
func (r *run) followUps() []*item {
	r.offer()
	items := r.inOrder()
	slices.Reverse(items)
	return items
}

// advance sends one item, or runs it again, as often as its policy says. It gives the end, or the sub-run that the item became; ok is
// false when the pipeline gives up first.
func (p *pipeline) advance(l *lane, it *item) (sub *run, end flow.End, ok bool) {
	if it.parked != nil {
		sub, ok = p.advanceParked(l, it)
		return sub, flow.Open, ok
	}
	if it.sent && !p.giveUpNow(l) {
		return nil, it.goodEnd(), true
	}
	for {
		if p.giveUpNow(l) {
			return nil, flow.Open, false
		}
		if it.err != nil {
			if !it.mayRetry() {
				return p.failed(it), flow.Open, true
			}
			if !it.atOnce && !p.backoff(l, it.to(), it.policy(), it.attempts, it.err.After) {
				return nil, flow.Open, false
			}
			p.count.retries.Add(1)
		}
		it.to().sendAndWait(l.source.hard, []*flow.Outgoing{it.out})
		if it.out.Err == nil {
			it.to().count.delivered.Add(1)
			return nil, it.goodEnd(), true
		}
		it.failedAgain()
	}
}

func (i *item) goodEnd() flow.End {
	if i.letter != nil {
		return flow.DeadLettered
	}
	return confirmedEnd(&i.run.g.prog.Sinks[i.sink])
}

// confirmedEnd is the end of a record that a sink has confirmed.
func confirmedEnd(s *pipelines.Sink) flow.End {
	if s.Traits.Discards {
		return flow.Dropped
	}
	return flow.Delivered
}

// failed does what then says with a message that a sink refused for good.
func (p *pipeline) failed(it *item) *run {
	sub := it.run.subRun(it.rec)
	it.run.g.withWorker(sub, func(w *worker) {
		m := &flow.Message{}
		it.out.Restore(m)
		s := &it.run.g.prog.Sinks[it.sink]
		w.retrying, w.again, w.attempts = true, pipelines.Edge{Sink: true, Index: it.sink}, max(0, it.attempts-1)
		w.settleFailure(failurePoint{name: s.Name, policy: s.OnError, errors: s.Errors, letter: it.letter,
			target: parkedTarget{edge: w.again}}, m, it.err, 0)
	})
	return sub
}

// advanceParked runs a parked message again, after a pause of the right kind.
func (p *pipeline) advanceParked(l *lane, it *item) (sub *run, ok bool) {
	k := it.parked
	if k.final {
		if !p.await(l, it.run, k) {
			return nil, false
		}
		k.attempts = 0
	} else if p.giveUpNow(l) || !p.backoff(l, nil, k.policy, k.attempts, k.err.After) {
		return nil, false
	}
	p.count.retries.Add(1)
	sub = it.run.subRun(it.rec)
	it.run.g.withWorker(sub, func(w *worker) {
		w.retrying, w.again, w.attempts = true, k.target.edge, k.attempts
		m := k.msg.Clone()
		switch {
		case k.target.source:
			w.again = pipelines.Edge{Index: -1}
			w.enter(it.run.in, m)
		case k.target.edge.Sink:
			w.deliver(k.target.edge.Index, m, k.letter, 0)
		default:
			w.walk(k.target.edge, m, 0)
		}
	})
	return sub, true
}

// await does what then says with a message that no on_error settles: it waits for a resume. It returns false when the message stays at
// its source.
func (p *pipeline) await(l *lane, r *run, k *parked) bool {
	if p.giveUpNow(l) {
		return false
	}
	p.unhandled(r, k)
	if k.then == pipelines.ThenStop {
		p.stopFailed(k.err)
		return false
	}
	return p.pause(l, k.err, k.msg.Origin())
}

// backoff waits before attempt n+1: exponential between the policy's bounds, with jitter over the upper half, so that retries of many
// keys do not march in step. When the sink was failing and works again, the least pause is enough. sink is nil where there is
// none. The other side may ask for a longer pause than all that: after. It returns false when the pipeline gives up first.
func (p *pipeline) backoff(l *lane, sink *sinkRun, policy pipelines.Policy, n int, after time.Duration) bool {
	recovered := sink.recovery()
	d := policy.MinBackoff << min(max(n-1, 0), 20)
	if d <= 0 || d > policy.MaxBackoff {
		d = policy.MaxBackoff
	}
	least := max(p.jittered(min(d, policy.MinBackoff)), after)
	if !p.sleep(l, least, nil) {
		return false
	}
	return p.sleep(l, p.jittered(d)-least, recovered)
}

func (p *pipeline) jittered(d time.Duration) time.Duration {
	if d <= 1 {
		return d
	}
	return d/2 + time.Duration(p.engine.random(int64(d/2)+1))
}

// sleep waits until d has passed or early is closed. It returns false when the pipeline gives up first.
func (p *pipeline) sleep(l *lane, d time.Duration, early <-chan struct{}) bool {
	if d <= 0 {
		return !p.giveUpNow(l)
	}
	if pause := p.engine.opts.Pause; pause != nil {
		pause(p.hard, d)
		return !p.giveUpNow(l)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-early:
		return true
	case <-l.source.hard.Done():
	case <-l.of.Abandoned():
	}
	return false
}

// giveUpNow reports that nothing more is to be sent for this lane.
func (p *pipeline) giveUpNow(l *lane) bool { return l.source.hard.Err() != nil || l.abandoned() }

// sendAndWait sends outs to one sink and returns when each has its result.
func (s *sinkRun) sendAndWait(ctx context.Context, outs []*flow.Outgoing) {
	for _, o := range outs {
		o.Err = nil
	}
	done := make(chan struct{})
	s.send(ctx, outs, func() { close(done) })
	<-done
	s.answered(ctx, outs)
	if failed := countErrors(outs); failed > 0 {
		s.count.errors.Add(int64(failed))
	}
}

func countErrors(outs []*flow.Outgoing) (n int) {
	for _, o := range outs {
		if o.Err != nil {
			n++
		}
	}
	return n
}

// failure reads what a sink answered; an error without a class is taken as passing.
func (s *sinkRun) failure(err error) *flow.Error {
	return s.p.graph.Load().named(flow.AsError(err, flow.Transient, flow.CodeUnavailable), s.name)
}

// pause stops the pipeline's reading and waits for a resume. It returns false when there is none: the pipeline drains, its sources
// are finite, or the lane is gone.
func (p *pipeline) pause(l *lane, cause *flow.Error, origin string) bool {
	if p.graph.Load().finite {
		p.stopFailed(cause)
		return false
	}
	resumed := p.setPaused(cause, origin)
	select {
	case <-resumed:
		return true
	case <-l.source.draining.Done():
	case <-l.source.hard.Done():
	case <-l.of.Abandoned():
	}
	return false
}
