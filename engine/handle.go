package engine

import (
	"errors"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millstream/millstream/flow"
)

// errUnsettled makes watermill nack a batch that has records which stay at their source.
var errUnsettled = errors.New("not every record of the batch was settled")

type runKey struct{}

// handle is the watermill handler of every source: the five steps of a batch.
func (p *pipeline) handle(msg *message.Message) error {
	r, ok := msg.Context().Value(runKey{}).(*run)
	if !ok {
		return errors.New("the message carries no batch; middleware must keep the message's context values")
	}
	p.compute(r)
	p.handOver(r)
	p.confirm(r)
	select {
	case <-r.done:
	case <-p.hard.Done():
		r.releaseHolds()
		<-r.done
	}
	r.handled = true
	if slices.Contains(r.left, true) {
		return errUnsettled
	}
	return nil
}

// compute leads the records through the graph.
func (p *pipeline) compute(r *run) {
	w := p.borrow(r)
	for i := range r.batch.Records {
		w.record(i)
	}
	p.giveBack(w)
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
		for _, outs := range r.outs {
			for _, o := range outs {
				o.Err = errAbandoned
			}
		}
		close(r.sent)
	} else {
		p.send(r)
	}
	close(r.self.handed)
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
		switch {
		case len(outs) == 0:
		case p.prog.Sinks[sink].Optional:
			p.optional[sink].offer(outs)
		default:
			r.sending.Add(1)
			p.sinks[sink].Send(p.hard, outs, answered)
		}
	}
	answered()
}

// holdBack queues what an earlier failure of the key, or a parked message of this batch, holds; the lane's lock is held.
func (r *run) holdBack() {
	items := r.inOrder()
	for sink := range r.outs {
		if !r.p.prog.Sinks[sink].Optional {
			r.outs[sink] = r.outs[sink][:0]
		}
	}
	for _, it := range items {
		if it.parked != nil || r.lane.isHeld(r, it.rec) {
			r.lane.enqueue(it)
			continue
		}
		r.outs[it.sink] = append(r.outs[it.sink], it.out)
	}
}

// inOrder lists all that the run produced, but for optional sinks, in the order in which it was produced.
func (r *run) inOrder() []*item {
	var items []*item
	for sink, outs := range r.outs {
		if r.p.prog.Sinks[sink].Optional {
			continue
		}
		for _, o := range outs {
			items = append(items, &item{run: r, rec: o.Index, order: o.Order, sink: sink, out: o, letter: r.letter[o]})
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
	<-r.sent
	<-r.before.confirmed
	failed := 0
	for sink, outs := range r.outs {
		if p.prog.Sinks[sink].Optional {
			continue
		}
		n := countErrors(outs)
		failed += n
		p.count.sinks[sink].delivered.Add(int64(len(outs) - n))
		if n > 0 {
			p.count.sinks[sink].errors.Add(int64(n))
		}
	}
	l.mu.Lock()
	if failed == 0 && len(l.held) == 0 {
		r.allConfirmed()
	} else {
		p.sortOut(r)
	}
	l.confirm(r)
	l.mu.Unlock()
	close(r.self.confirmed)
	r.pass()
}

func (r *run) allConfirmed() {
	for sink, outs := range r.outs {
		if r.p.prog.Sinks[sink].Optional {
			continue
		}
		for _, o := range outs {
			end := flow.Delivered
			if r.letter != nil && r.letter[o] != nil {
				end = flow.DeadLettered
			}
			r.ended(o.Index, end)
		}
	}
}

// sortOut ends what was confirmed and queues the rest; the lane's lock is held.
func (p *pipeline) sortOut(r *run) {
	givenUp := p.giveUpNow(r.lane)
	sent := r.parked
	r.parked = nil // those are queued already
	items := r.inOrder()
	r.parked = sent
	for _, it := range items {
		switch {
		case it.out.Err != nil && givenUp:
			r.mu.Lock()
			r.left[it.rec] = true
			r.mu.Unlock()
		case it.out.Err != nil:
			it.attempts, it.err = 1, p.sinkError(it.sink, it.out.Err)
			r.lane.enqueue(it)
		case r.lane.mustResend(it):
			p.count.resent.Add(1)
			r.lane.enqueue(it)
		default:
			r.mu.Lock()
			r.ended(it.rec, it.goodEnd())
			r.mu.Unlock()
		}
	}
}
