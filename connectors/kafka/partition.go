package kafka

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

// partition is one assignment of one partition: its lane, what was fetched and not yet pushed, and the prefix of what is settled. A
// partition that comes back after a revocation is a new one.
type partition struct {
	topic  string
	number int32
	lane   *flow.Lane
	source *source
	// ctx ends when nothing more of the partition is to be handed out.
	ctx  context.Context
	stop context.CancelFunc
	// ended is closed when the goroutine that pushes has ended.
	ended chan struct{}

	mu     sync.Mutex
	queue  []*kgo.Record // fetched, not pushed
	bytes  int64         // of the queue, and of the batch that waits for the engine
	inHand int64         // of that batch
	paused bool
	wake   chan struct{} // one slot
	// flying are the batches that were pushed and are not behind the prefix yet, in the order of the partition.
	flying []*flight
	open   int           // how many of them have not come back
	quiet  chan struct{} // closed when open is 0; nil when nobody waits
	// blocked: a record came back unsettled, and the prefix stays before it for the rest of the assignment.
	blocked bool
	// next is what to commit.
	next kgo.EpochOffset
	// passed and given count records: those behind the prefix, and of them those that are committed, which the exposure counts no more.
	passed, given int
	exposure      *exposure
	// first is the offset that was fetched first, -1 before; ends is where the partition ended when it was looked at last.
	first int64
	ends  atomic.Int64
}

// flight is one batch on its way.
type flight struct {
	partition *partition
	batch     flow.Batch
	epochs    []int32
	back      bool
	prefix    int // how many records from the front are settled, once it is back
}

func newPartition(s *source, topic string, number int32) *partition {
	p := &partition{
		topic: topic, number: number, source: s, lane: flow.NewLane(topic + "/" + strconv.Itoa(int(number))),
		ended: make(chan struct{}), wake: make(chan struct{}, 1), first: -1,
	}
	p.ends.Store(-1)
	p.exposure = newExposure(s.share, s.urgent)
	p.ctx, p.stop = context.WithCancel(s.reading)
	return p
}

// take queues what was fetched. It reports whether the partition is full and is to be paused.
func (p *partition) take(records []*kgo.Record) (full bool) {
	p.mu.Lock()
	if p.first < 0 && len(records) > 0 {
		p.first = records[0].Offset
	}
	p.queue = append(p.queue, records...)
	for _, r := range records {
		p.bytes += size(r)
	}
	full = !p.paused && (len(p.queue) >= p.source.highRecords || p.bytes >= p.source.queueShare())
	p.paused = p.paused || full
	p.mu.Unlock()
	p.signal()
	return full
}

func size(r *kgo.Record) int64 { return int64(len(r.Key) + len(r.Value) + 64) }

func (p *partition) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// push hands the queue over, batch by batch, until the partition is taken away or the source ends.
func (p *partition) push(in flow.Intake) {
	defer close(p.ended)
	for {
		f := p.cut()
		if f == nil {
			select {
			case <-p.wake:
				continue
			case <-p.ctx.Done():
				return
			}
		}
		if err := p.hand(in, f); err != nil {
			p.takeBack(f)
			if p.ctx.Err() == nil || !errors.Is(err, context.Canceled) {
				p.source.refused(err)
			}
			return
		}
		if p.handedOver() {
			p.source.client.ResumeFetchPartitions(map[string][]int32{p.topic: {p.number}})
		}
	}
}

// hand gives a batch to the engine once so few records are uncommitted that a crash repeats no more than the limit.
func (p *partition) hand(in flow.Intake, f *flight) error {
	n := len(f.batch.Records)
	if err := p.exposure.take(p.ctx, n); err != nil {
		return err
	}
	if err := in.Push(p.ctx, &f.batch); err != nil {
		p.exposure.give(n)
		return err
	}
	return nil
}

// cut takes the next batch off the queue; nil when there is none.
func (p *partition) cut() *flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil || len(p.queue) == 0 {
		return nil
	}
	n, bytes, most, room := 0, int64(0), min(p.source.batchRecords, p.source.share()), min(p.source.batchBytes, p.source.queueShare())
	for n < len(p.queue) && n < most {
		b := size(p.queue[n])
		if n > 0 && bytes+b > room {
			break
		}
		bytes += b
		n++
	}
	f := p.source.newFlight(n)
	f.partition = p
	f.batch.Lane, f.batch.Arrived = p.lane, time.Now().UnixNano()
	fillBatch(f.batch.Records, p.queue[:n])
	for i, r := range p.queue[:n] {
		f.epochs[i] = r.LeaderEpoch
	}
	clear(p.queue[:n])
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	p.inHand = bytes
	p.flying = append(p.flying, f)
	p.open++
	return f
}

// handedOver notes that the engine has the batch of the last cut. It reports whether the partition was paused and has room again.
func (p *partition) handedOver() (resume bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes -= p.inHand
	p.inHand = 0
	resume = p.paused && len(p.queue) < p.source.highRecords/2 && p.bytes <= p.source.queueShare()/2
	p.paused = p.paused && !resume
	return resume
}

// takeBack forgets the last batch, which was not taken.
func (p *partition) takeBack(f *flight) {
	p.mu.Lock()
	p.flying = p.flying[:len(p.flying)-1]
	p.cameBack()
	p.mu.Unlock()
	p.source.release(f)
}

// settle takes a batch back and moves the prefix. It reports whether there is something new to commit.
func (p *partition) settle(f *flight) (moved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.back = true
	for f.prefix < len(f.batch.Records) && f.batch.Records[f.prefix].Settled() {
		f.prefix++
	}
	for len(p.flying) > 0 && p.flying[0].back {
		first := p.flying[0]
		p.flying[0] = nil
		p.flying = p.flying[1:]
		if n := first.prefix; n > 0 && !p.blocked {
			p.next = kgo.EpochOffset{Epoch: first.epochs[n-1], Offset: first.batch.Records[n-1].Offset + 1}
			p.passed += n
			moved = true
		}
		if first.prefix < len(first.batch.Records) && !p.blocked {
			p.blocked = true
			p.reportBlocked()
		}
		p.source.release(first)
	}
	p.cameBack()
	return moved
}

// reportBlocked tells that nothing of the partition is committed any more, when that is not because it is being let go.
func (p *partition) reportBlocked() {
	if p.ctx.Err() != nil {
		return
	}
	p.source.host.Logger().Error("a record came back unsettled; its partition commits nothing more, and stops at in_flight, until it is assigned again",
		"lane", p.lane.Name)
}

// cameBack counts a batch as no longer in flight; the lock is held.
func (p *partition) cameBack() {
	if p.open--; p.open == 0 && p.quiet != nil {
		close(p.quiet)
		p.quiet = nil
	}
}

// settled gives a channel that is closed once no batch is in flight.
func (p *partition) settled() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if p.quiet == nil {
		p.quiet = make(chan struct{})
	}
	return p.quiet
}

// reached is how far a partition is settled: the offset to commit, and how many records lie before it.
type reached struct {
	at     kgo.EpochOffset
	passed int
}

// uncommitted is what to commit; ok is false when no record has been passed since the last commit. The offset does not tell: it goes
// back when the topic was made anew or cut.
func (p *partition) uncommitted() (upTo reached, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return reached{p.next, p.passed}, p.passed != p.given
}

// wasCommitted notes that a commit has succeeded.
func (p *partition) wasCommitted(upTo reached) {
	p.mu.Lock()
	n := upTo.passed - p.given
	p.given = upTo.passed
	p.mu.Unlock()
	p.exposure.give(n)
}
