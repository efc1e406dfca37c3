package memory

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

type sink struct {
	hub *Hub
	log *slog.Logger
}

// Send implements flow.Sink. It returns when every subscriber has taken the messages, which keeps their order.
func (s *sink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	d := &delivery{outs: outs, done: done, failed: make([]error, len(outs)), open: 1}
	parts := s.split(d, outs) // before anybody can answer: outs are not looked at after that
	d.stop = context.AfterFunc(ctx, func() { d.abandon(context.Cause(ctx)) })
	for _, p := range parts {
		d.hand(ctx, p, s.log)
	}
	d.finish(1)
}

// split makes a part of each run of messages that go to one topic.
func (s *sink) split(d *delivery, outs []*flow.Outgoing) []*part {
	var parts []*part
	for from := 0; from < len(outs); {
		to := from + 1
		for to < len(outs) && outs[to].Dest == outs[from].Dest {
			to++
		}
		t := s.hub.topic(outs[from].Dest)
		parts = append(parts, &part{topic: t, records: copyRecords(outs[from:to], t), whole: d, from: from})
		from = to
	}
	return parts
}

// Close implements flow.Sink.
func (s *sink) Close(context.Context) error { return nil }

// part is what one topic gets of a delivery. It is never changed, so all subscribers share it.
type part struct {
	topic   *topic
	records []flow.Record
	whole   *delivery
	from    int // the first record's place in the delivery
}

// delivery is what one Send is waiting for.
type delivery struct {
	mu     sync.Mutex
	outs   []*flow.Outgoing
	done   func()
	stop   func() bool
	failed []error
	open   int // results that are missing, and one for Send itself
	ended  bool
}

// hand gives a part to all who subscribe to its topic. Who leaves meanwhile does not count; when nobody is left, it waits for the next.
func (d *delivery) hand(ctx context.Context, p *part, log *slog.Logger) {
	n := len(p.records)
	for taken := 0; taken == 0; {
		subscribers, err := p.topic.wait(ctx, log)
		if err != nil {
			d.fail(p, err)
			return
		}
		for _, s := range subscribers {
			d.expect(n)
			select {
			case s.parts <- p:
				taken++
			case <-s.gone:
				d.finish(n)
			case <-ctx.Done():
				d.fail(p, context.Cause(ctx))
				d.finish(n)
				return
			}
		}
	}
}

func (d *delivery) expect(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open += n
}

func (d *delivery) fail(p *part, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range p.records {
		d.failed[p.from+i] = flow.Errorf(flow.Transient, flow.CodeUnavailable, "send to memory: %w", err)
	}
}

var errNotSettled = flow.Errorf(flow.Transient, flow.CodeUnavailable, "send to memory: a pipeline that received the message stopped before it had settled it")

// refuse brings back what a subscriber took and did not push: all records but the first ones.
func (p *part) refuse(first int) {
	p.whole.mu.Lock()
	for i := first; i < len(p.records); i++ {
		p.whole.failed[p.from+i] = errNotSettled
	}
	p.whole.mu.Unlock()
	p.whole.finish(len(p.records) - first)
}

// settle takes the results of records that a subscriber has given back.
func (p *part) settle(first int, records []flow.Record) {
	p.whole.mu.Lock()
	for i := range records {
		if !records[i].Settled() {
			p.whole.failed[p.from+first+i] = errNotSettled
		}
	}
	p.whole.mu.Unlock()
	p.whole.finish(len(records))
}

// finish counts n results off; the last one answers the engine.
func (d *delivery) finish(n int) {
	d.mu.Lock()
	d.open -= n
	last := d.open == 0 && !d.ended
	d.ended = d.ended || last
	if last {
		for i, o := range d.outs {
			o.Err = d.failed[i]
		}
	}
	d.mu.Unlock()
	if last {
		d.stop()
		d.done()
	}
}

// over tells that the sender has its answer.
func (d *delivery) over() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

// abandon answers for all that has no result yet: nobody waits for it any more.
func (d *delivery) abandon(cause error) {
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
		return
	}
	d.ended = true
	for _, o := range d.outs {
		o.Err = flow.Errorf(flow.Transient, flow.CodeUnavailable, "send to memory: %w", cause)
	}
	d.mu.Unlock()
	d.done()
}

// copyRecords makes records of outs in memory of their own: subscribers may look at them longer than the sender waits.
func copyRecords(outs []*flow.Outgoing, t *topic) []flow.Record {
	size := 0
	for _, o := range outs {
		size += len(o.Body) + len(o.Key)
	}
	memory := make([]byte, 0, size)
	own := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(memory)
		memory = append(memory, b...)
		return memory[start:len(memory):len(memory)]
	}
	records := make([]flow.Record, len(outs))
	offset := t.number(len(outs))
	for i, o := range outs {
		records[i] = flow.Record{
			Body: own(o.Body), Key: own(o.Key), Headers: copyHeaders(o.Headers()), Props: copyProps(o), Topic: t.name,
			Time: o.Time().UnixNano(), Offset: offset + int64(i), Partition: flow.NoPartition, Attempt: 1,
		}
	}
	return records
}

func copyHeaders(hs []flow.Header) []flow.Header {
	if len(hs) == 0 {
		return nil
	}
	out := make([]flow.Header, len(hs))
	for i, h := range hs {
		out[i] = flow.Header{Name: strings.Clone(h.Name), Value: value.Own(h.Value), Native: h.Native}
	}
	return out
}

// copyProps copies the properties; the time to live counts on from here.
func copyProps(o *flow.Outgoing) *flow.Properties {
	p := o.Props()
	if p == nil {
		return nil
	}
	c := *p
	c.TTL, _ = o.Native.(time.Duration)
	c.CorrelationID = value.Own(c.CorrelationID)
	return &c
}
