package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/failpoint"
)

// errUnsettled makes watermill nack a batch that has records which stay at their source.
var errUnsettled = errors.New("not every record of the batch was settled")

// errLate answers a handler call for a batch that is back at its source already.
var errLate = errors.New("the batch was acknowledged or refused before its handler was called")

type ticketKey struct{}

// ticket is a run's way through the router. A middleware may answer for the handler, or call it twice: the ticket lets it run once, and
// never after the batch went back.
type ticket struct {
	run      *run
	claimed  atomic.Bool
	finished chan struct{} // closed when the handler has come to its end
	handled  bool          // the handler came to a good end
	err      error
}

// handle is the watermill handler of every source.
func (p *pipeline) handle(msg *message.Message) error {
	t, ok := msg.Context().Value(ticketKey{}).(*ticket)
	if !ok {
		return errors.New("the message carries no batch: a middleware must keep the message's context values")
	}
	if !t.claimed.CompareAndSwap(false, true) {
		<-t.finished
		return t.err
	}
	defer close(t.finished)
	t.err = p.run(t.run)
	t.handled = true
	return t.err
}

// run is the steps of a batch.
func (p *pipeline) run(r *run) error {
	for from := p.compute(r, 0); from < len(r.batch.Records); from = p.compute(r, from) {
		p.part(r)
	}
	p.handOver(r)
	close(r.self.handed)
	p.confirm(r)
	select {
	case <-r.done:
	case <-r.source.hard.Done():
		r.releaseHolds()
	case <-r.lane.of.Abandoned():
		r.releaseHolds()
	}
	<-r.done
	left := r.merge()
	if !p.breaks(faultAckEarly) { // its sinks are still at work
		r.dropOuts()
	}
	r.uncharge()
	if left {
		return errUnsettled
	}
	return nil
}

// compute leads the records from one on through the graph, and returns where it stopped: behind the last one, or earlier when what the
// batches under way have become takes too much memory. A panic here is a fault of the engine: the batch stays at its source, and the pipeline
// ends.
func (p *pipeline) compute(r *run, from int) (next int) {
	w := r.g.borrow(r)
	defer r.g.giveBack(w)
	defer func() {
		if x := recover(); x != nil {
			next = p.computePanicked(r, x)
		}
	}()
	if r.g.widest > 1 && from < len(r.batch.Records)-1 {
		return p.computeAside(r, from, r.g.widest)
	}
	for i := from; i < len(r.batch.Records); i++ {
		r.record(w, i)
		if r.overCharge() {
			return i + 1
		}
	}
	return len(r.batch.Records)
}

// computePanicked gives the batch back and ends the pipeline; nothing of the batch is left to compute.
func (p *pipeline) computePanicked(r *run, x any) (next int) {
	p.log.Error("engine panicked", "panic", fmt.Sprint(x), "stack", string(debug.Stack()))
	p.stopFailed(flow.Errorf(flow.Fatal, flow.CodePanic, "engine panicked: %v", x))
	p.hardStop()
	r.leaveAll()
	return len(r.batch.Records)
}

// handOver waits for the first turnstile and gives each sink what it is to get. What a failure holds back is queued.
func (p *pipeline) handOver(r *run) {
	l := r.lane
	<-r.before.handed
	l.mu.Lock()
	if len(l.held) > 0 || len(r.parked) > 0 {
		r.holdBack()
	}
	l.handed = r.seq
	l.mu.Unlock()
	if p.giveUpNow(l) {
		r.leaveOffers()
		for _, outs := range r.outs {
			for _, o := range outs {
				o.Err = errAbandoned
			}
		}
		close(r.sent)
	} else {
		failpoint.Hit(failpoint.BeforeSend)
		p.send(r)
		failpoint.Hit(failpoint.AfterSend)
	}
}

var errAbandoned = flow.Errorf(flow.Transient, flow.CodeAbandoned, "not sent: the pipeline stops or the source took the record back")

// send hands all that the run has over to the sinks; r.sent closes with the last answer.
func (p *pipeline) send(r *run) {
	answered := func() {
		if r.sending.Add(-1) == 0 {
			close(r.sent)
		}
	}
	r.sending.Store(1)
	for sink, outs := range r.outs {
		if len(outs) > 0 {
			r.sending.Add(1)
			r.g.sinks[sink].send(r.source.hard, outs, answered)
		}
	}
	r.offer()
	answered()
}

// offer gives the optional sinks what they are to get. A record that only they get counts as delivered when one of their queues has taken
// it, and as dropped when none could.
func (r *run) offer() {
	for sink, outs := range r.offers {
		if len(outs) == 0 {
			continue
		}
		r.g.sinks[sink].optional.offer(outs, func(o *flow.Outgoing, taken bool) {
			if taken {
				r.ended(o.Index, flow.Delivered)
			} else {
				r.missed(o.Index)
			}
		})
	}
}

// leaveOffers gives the records back to their source whose messages are not offered any more.
func (r *run) leaveOffers() {
	for _, outs := range r.offers {
		for _, o := range outs {
			r.left[o.Index] = true
		}
	}
}

// send calls the sink. A panic there fails the messages, and a second answer counts for nothing. What an optional sink is sent that is not
// open, a dead letter, fails as its opening did.
func (s *sinkRun) send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	if s.optional != nil {
		if why := s.optional.opening.why(); why != nil {
			for _, o := range outs {
				o.Err = why
			}
			done()
			return
		}
	}
	var answered atomic.Bool
	answer := func() {
		if answered.CompareAndSwap(false, true) {
			done()
		}
	}
	defer func() {
		x := recover()
		if x == nil {
			return
		}
		s.p.log.Error("sink panicked", "node", s.name, "panic", fmt.Sprint(x), "stack", string(debug.Stack()))
		if answered.CompareAndSwap(false, true) {
			for _, o := range outs {
				o.Err = flow.Errorf(flow.Poison, flow.CodePanic, "%s panicked: %v", s.connector, x)
			}
			done()
		}
	}()
	s.sink.Send(ctx, outs, answer)
}

// holdBack queues what an earlier failure of the key, or a parked message of this batch, holds; the lane's lock is held.
func (r *run) holdBack() {
	items := r.inOrder()
	for sink := range r.outs {
		r.outs[sink] = r.outs[sink][:0]
	}
	for _, it := range items {
		if it.parked != nil || r.lane.isHeld(r, it.rec) {
			r.lane.enqueue(it)
			continue
		}
		r.outs[it.sink] = append(r.outs[it.sink], it.out)
	}
}

// inOrder lists all that the run produced, but for what it offers to optional sinks, in the order in which it was produced.
func (r *run) inOrder() []*item {
	var items []*item
	for sink, outs := range r.outs {
		for _, o := range outs {
			items = append(items, &item{run: r, rec: o.Index, order: o.Order, sink: sink, out: o, letter: r.letters[o]})
		}
	}
	for i := range r.parked {
		k := &r.parked[i]
		items = append(items, &item{run: r, rec: k.rec, order: k.order, parked: k, err: k.err})
	}
	slices.SortFunc(items, func(a, b *item) int { return int(a.order) - int(b.order) })
	return items
}

// confirm waits for the sinks' answers and the second turnstile. What failed is queued, and what it holds of what came after.
func (p *pipeline) confirm(r *run) {
	l := r.lane
	if !p.breaks(faultAckEarly) {
		<-r.sent
	}
	failpoint.Hit(failpoint.AfterConfirm)
	if len(r.letters) > 0 {
		failpoint.Hit(failpoint.AfterLetter)
	}
	<-r.before.confirmed
	failed := p.countAnswers(r)
	l.mu.Lock()
	p.takeAnswers(r, failed)
	l.confirm(r)
	l.mu.Unlock()
	close(r.self.confirmed)
	r.pass()
}

// takeAnswers ends what was confirmed and queues what was not; the lane's lock is held.
func (p *pipeline) takeAnswers(r *run, failed int) {
	if failed == 0 && len(r.lane.held) == 0 {
		r.allConfirmed()
	} else {
		p.sortOut(r)
	}
}

func (p *pipeline) countAnswers(r *run) (failed int) {
	for sink, outs := range r.outs {
		if len(outs) == 0 {
			continue
		}
		n := countErrors(outs)
		failed += n
		to := r.g.sinks[sink]
		to.answered(r.source.hard, outs)
		to.count.delivered.Add(int64(len(outs) - n))
		if n > 0 {
			to.count.errors.Add(int64(n))
		}
	}
	return failed
}

func (r *run) allConfirmed() {
	for sink, outs := range r.outs {
		good := confirmedEnd(&r.g.prog.Sinks[sink])
		for _, o := range outs {
			end := good
			if r.letters != nil && r.letters[o] != nil {
				end = flow.DeadLettered
			}
			r.ended(o.Index, end)
		}
	}
}

// sortOut ends what was confirmed and queues the rest; the lane's lock is held.
func (p *pipeline) sortOut(r *run) {
	queued := r.parked
	r.parked = nil
	items := r.inOrder()
	r.parked = queued
	for _, it := range items {
		switch {
		case it.out.Err != nil && it.letter != nil && p.breaks(faultLetterUnaware):
			r.ended(it.rec, it.goodEnd())
		case it.out.Err != nil:
			it.attempts, it.err = 1, it.to().failure(it.out.Err)
			r.lane.enqueue(it)
		case r.lane.mustResend(it):
			p.count.resent.Add(1)
			r.lane.enqueue(it)
		case r.lane.mustWait(it):
			it.sent = true
			r.lane.enqueue(it)
		default:
			r.ended(it.rec, it.goodEnd())
		}
	}
}
