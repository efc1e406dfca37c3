package engine

import (
	"math/rand/v2"
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
		q.lane.p.resolve(q.lane, items[0])
	}
}

// sendRun sends several messages that wait for one sink together, and returns those from the first failure on.
func (q *queue) sendRun(items []*item) []*item {
	p := q.lane.p
	if p.giveUpNow(q.lane) {
		return items
	}
	outs := make([]*flow.Outgoing, len(items))
	for i, it := range items {
		outs[i] = it.out
	}
	p.sendAndWait(items[0].sink, outs)
	for i, it := range items {
		if it.out.Err != nil {
			it.attempts, it.err = 1, p.sinkError(it.sink, it.out.Err)
			return items[i:]
		}
		p.confirmItem(it)
	}
	return nil
}

// resolve brings one item to its end: sends it, or runs it again, as often as its policy says.
func (p *pipeline) resolve(l *lane, it *item) {
	end, left := p.bring(l, it)
	it.run.end(it.rec, end, left)
}

// bring is resolve without the account: it returns the worst end of all that the item became, or left.
func (p *pipeline) bring(l *lane, it *item) (end flow.End, left bool) {
	if it.parked != nil {
		return p.bringParked(l, it)
	}
	policy := p.prog.Sinks[it.sink].OnError
	if it.letter != nil {
		policy.Retries = -1 // a dead letter's transient failures are retried for ever
	}
	for {
		if p.giveUpNow(l) {
			return flow.Open, true
		}
		if it.err != nil {
			if it.err.Class != flow.Transient || (policy.Retries >= 0 && it.attempts > policy.Retries) {
				return p.bringFailed(l, it)
			}
			if !p.backoff(l, policy, it.attempts) {
				return flow.Open, true
			}
			p.count.retries.Add(1)
		}
		p.sendAndWait(it.sink, []*flow.Outgoing{it.out})
		if it.out.Err == nil {
			p.count.sinks[it.sink].delivered.Add(1)
			return it.goodEnd(), false
		}
		it.attempts++
		it.err = p.sinkError(it.sink, it.out.Err)
	}
}

func (i *item) goodEnd() flow.End {
	if i.letter != nil {
		return flow.DeadLettered
	}
	return flow.Delivered
}

func (p *pipeline) confirmItem(it *item) {
	p.count.sinks[it.sink].delivered.Add(1)
	it.run.end(it.rec, it.goodEnd(), false)
}

// bringFailed does what then says with a message that a sink refused for good.
func (p *pipeline) bringFailed(l *lane, it *item) (flow.End, bool) {
	sub := it.run.subRun()
	p.withWorker(sub, it.run, it.rec, func(w *worker) {
		m := &flow.Message{}
		it.out.Restore(m)
		s := &p.prog.Sinks[it.sink]
		w.retrying, w.again, w.attempts = true, pipelines.Edge{Sink: true, Index: it.sink}, max(0, it.attempts-1)
		w.settleFailure(failurePoint{name: s.Name, policy: s.OnError, errors: s.Errors, letter: it.letter,
			target: parkedTarget{edge: w.again}}, m, it.err, 0)
	})
	return p.bringRun(l, sub)
}

// bringParked runs a parked message again, after a pause of the right kind.
func (p *pipeline) bringParked(l *lane, it *item) (flow.End, bool) {
	k := it.parked
	if k.final {
		p.unhandled(it.run, k)
		if k.then == pipelines.ThenStop {
			p.stopFailed(k.err)
			return flow.Open, true
		}
		if !p.pause(l, k.err) {
			return flow.Open, true
		}
		k.attempts = 0
	} else if p.giveUpNow(l) || !p.backoff(l, k.policy, k.attempts) {
		return flow.Open, true
	}
	p.count.retries.Add(1)
	sub := it.run.subRun()
	p.withWorker(sub, it.run, it.rec, func(w *worker) {
		w.retrying, w.again, w.attempts = true, k.target.edge, k.attempts
		m := k.msg.Clone()
		switch {
		case k.target.source:
			w.again = pipelines.Edge{Index: -1}
			w.enter(it.run, m)
		case k.target.edge.Sink:
			w.deliver(k.target.edge.Index, m, k.letter)
		default:
			w.walk(k.target.edge, m, 0)
		}
	})
	return p.bringRun(l, sub)
}

// bringRun ends all that a sub-run produced, in order, and merges the ends.
func (p *pipeline) bringRun(l *lane, sub *run) (flow.End, bool) {
	end, left := sub.ends[0], sub.left[0]
	for _, it := range sub.inOrder() {
		e, l := p.bring(l, it)
		end, left = max(end, e), left || l
	}
	return end, left
}

// backoff waits before attempt n+1: exponential between the policy's bounds, with jitter over the upper half, so that retries of many
// keys do not march in step. It returns false when the pipeline gives up first.
func (p *pipeline) backoff(l *lane, policy pipelines.Policy, n int) bool {
	d := policy.MinBackoff << min(max(n-1, 0), 20)
	if d <= 0 || d > policy.MaxBackoff {
		d = policy.MaxBackoff
	}
	if d > 1 {
		d = d/2 + time.Duration(rand.Int64N(int64(d/2)+1)) //nolint:gosec // jitter needs no secrecy
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.hard.Done():
	case <-l.of.Abandoned():
	}
	return false
}

// giveUpNow reports that nothing more is to be sent for this lane.
func (p *pipeline) giveUpNow(l *lane) bool { return p.hard.Err() != nil || l.abandoned() }

// sendAndWait sends outs to one sink and returns when each has its result.
func (p *pipeline) sendAndWait(sink int, outs []*flow.Outgoing) {
	for _, o := range outs {
		o.Err = nil
	}
	done := make(chan struct{})
	p.sinks[sink].Send(p.hard, outs, func() { close(done) })
	<-done
	if failed := countErrors(outs); failed > 0 {
		p.count.sinks[sink].errors.Add(int64(failed))
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

// sinkError reads a sink's failure; one without a class is taken as passing.
func (p *pipeline) sinkError(sink int, err error) *flow.Error {
	return named(flow.AsError(err, flow.Transient, flow.CodeUnavailable), p.prog.Sinks[sink].Name)
}

// pause stops the pipeline's reading and waits for a resume. It returns false when there is none: the pipeline drains, its sources
// are finite, or the lane is gone.
func (p *pipeline) pause(l *lane, cause *flow.Error) bool {
	if p.finite {
		p.stopFailed(cause)
		return false
	}
	resumed := p.setPaused(cause)
	select {
	case <-resumed:
		return true
	case <-p.draining:
	case <-p.hard.Done():
	case <-l.of.Abandoned():
	}
	return false
}

// withWorker lends a worker to f for a sub-run of a record.
func (p *pipeline) withWorker(sub, parent *run, rec int32, f func(w *worker)) {
	w := p.borrow(sub)
	w.rec, w.parent, w.parentRec = 0, parent, rec
	f(w)
	p.giveBack(w)
}
