package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// sourceKind is how a simulated source remembers what is settled.
type sourceKind uint8

const (
	prefixKind     sourceKind = iota // commits the contiguous prefix of a partition, and repeats all that follows it
	individualKind                   // acknowledges record by record, and repeats those that are not
	onceKind                         // cannot repeat anything
)

func (k sourceKind) String() string { return [...]string{"prefix", "individual", "once"}[k] }

// simSource is a broker's side of a source and its client in one: partitions survive a crash, the rest does not.
type simSource struct {
	w     *world
	index int
	kind  sourceKind
	parts []*partition

	inFlight, batches, bytes int64 // of all sources, under the world's lock, in sources[0]
}

// partition is one ordered stream; its fields are under the world's lock.
type partition struct {
	name    string
	records []simRecord
	commit  int // the prefix that is settled
	next    int // the next to push in this round
	flying  int // batches
	idle    chan struct{}
}

type simRecord struct {
	id        string
	key       []byte
	size      int
	failure   bool // the source could not take it whole
	settled   bool
	gone      bool // it cannot come again
	delivered int  // how often it was pushed
}

func newSimSource(w *world, index int) *simSource {
	s := &simSource{w: w, index: index, kind: sourceKind(w.rng.IntN(3) * w.rng.IntN(2))}
	if w.rng.IntN(4) == 0 {
		s.kind = individualKind
	}
	for i := range 1 + w.rng.IntN(2) {
		p := &partition{name: fmt.Sprintf("s%d.%d", index, i)}
		keys := 1 + w.rng.IntN(6)
		for j := range 5 + w.rng.IntN(30) {
			r := simRecord{id: p.name + "." + strconv.Itoa(j), size: w.rng.IntN(150), failure: w.rng.IntN(50) == 0}
			if k := w.rng.IntN(keys + 1); k > 0 {
				r.key = []byte("k" + strconv.Itoa(k))
			}
			if w.rng.IntN(25) == 0 {
				r.size *= 4
			}
			p.records = append(p.records, r)
		}
		s.parts = append(s.parts, p)
	}
	return s
}

// begin lets a reader begin: what is known is what was committed. The world's lock is held.
func (s *simSource) begin() {
	for _, p := range s.parts {
		for i := range p.records {
			r := &p.records[i]
			r.gone = r.gone || s.kind == onceKind && r.delivered > 0 && !r.settled
		}
		s.rewind(p)
		if p.flying > 0 {
			s.w.violateLocked("%s is read anew while %d of its batches are under way", p.name, p.flying)
		}
	}
}

// rewind goes back to what is committed: a prefix is all that this kind of source remembers.
func (s *simSource) rewind(p *partition) {
	p.next = p.commit
	if s.kind != prefixKind {
		return
	}
	for i := range p.records[p.commit:] {
		p.records[p.commit+i].settled = false
	}
}

// Run implements flow.Source.
func (s *simSource) Run(ctx context.Context, in flow.Intake) error {
	var lanes sync.WaitGroup
	for i := range s.parts {
		lanes.Go(func() { s.read(ctx, in, s.parts[i], int32(i)) })
	}
	lanes.Wait()
	return nil
}

func (s *simSource) read(ctx context.Context, in flow.Intake, p *partition, part int32) {
	lane := flow.NewLane(p.name)
	for ctx.Err() == nil {
		if s.w.intn(4) == 0 {
			time.Sleep(time.Duration(s.w.intn(20)) * time.Millisecond)
		}
		if s.w.intn(60) == 0 && !s.w.isHealed() {
			lane = s.revoke(p, lane)
		}
		b := s.batch(p, lane, part)
		if b == nil {
			return
		}
		if err := in.Push(ctx, b); err != nil {
			s.keep(p, b)
			return
		}
		s.taken(p, b)
	}
}

// revoke takes the lane away, waits for what is in flight to come back, and starts again from what is settled.
func (s *simSource) revoke(p *partition, lane *flow.Lane) *flow.Lane {
	s.w.log("abandons", p.name, "")
	lane.Abandon()
	s.w.mu.Lock()
	s.w.abandoned = true
	var idle chan struct{}
	if p.flying > 0 {
		idle = make(chan struct{})
		p.idle = idle
	}
	s.w.mu.Unlock()
	if idle != nil {
		<-idle
	}
	s.w.mu.Lock()
	s.rewind(p)
	s.w.mu.Unlock()
	return flow.NewLane(p.name)
}

// batch takes the next records that are not settled; nil when there are none.
func (s *simSource) batch(p *partition, lane *flow.Lane, part int32) *flow.Batch {
	n := 1 + s.w.intn(8)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	b := &flow.Batch{Lane: lane, Arrived: time.Now().UnixNano(), Memory: p}
	for p.next < len(p.records) && len(b.Records) < n {
		r := &p.records[p.next]
		if !r.gone && (s.kind == prefixKind || !r.settled) {
			rec := flow.Record{
				ID: r.id, Key: r.key, Body: []byte(strings.Repeat("x", r.size)), Topic: p.name, Partition: part, Offset: int64(p.next),
				Tag: uint64(p.next),
			}
			r.delivered++
			rec.Attempt = int32(r.delivered)
			if r.failure {
				rec.Failure = flow.Errorf(flow.Permanent, flow.CodeTooLarge, "cut")
			}
			b.Records = append(b.Records, rec)
		}
		p.next++
	}
	if len(b.Records) == 0 {
		return nil
	}
	p.flying++
	return b
}

// keep takes back what the engine did not take in.
func (s *simSource) keep(p *partition, b *flow.Batch) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	p.flying--
	for i := range b.Records {
		p.records[b.Records[i].Tag].delivered--
	}
}

// taken checks the limits. The count may be behind the engine's by what is coming back, never ahead.
func (s *simSource) taken(p *partition, b *flow.Batch) {
	w, all := s.w, s.w.sources[0]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logLocked("pushed", p.name, b.Records[0].ID)
	if b.Memory == nil {
		return // it is back already
	}
	b.Memory = nil
	all.inFlight += int64(len(b.Records))
	all.bytes += b.Bytes()
	all.batches++
	limits := w.program.Limits
	if all.batches > 1 && (all.inFlight > int64(limits.InFlight) || all.bytes > limits.InFlightBytes) {
		w.violateLocked("%d records of %d bytes are in flight, the limits are %d and %d", all.inFlight, all.bytes, limits.InFlight,
			limits.InFlightBytes)
	}
}

// Settle implements flow.Source. It checks every acknowledgement against the facts.
func (s *simSource) Settle(b *flow.Batch) {
	w, all := s.w, s.w.sources[0]
	w.mu.Lock()
	defer w.mu.Unlock()
	p := s.parts[b.Records[0].Partition]
	if b.Memory == nil {
		all.inFlight -= int64(len(b.Records))
		all.bytes -= b.Bytes()
		all.batches--
	}
	b.Memory = nil
	for i := range b.Records {
		s.settle(p, &b.Records[i])
	}
	for p.commit < len(p.records) && (p.records[p.commit].settled || p.records[p.commit].gone) {
		p.commit++
	}
	p.flying--
	if p.flying == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

func (s *simSource) settle(p *partition, rec *flow.Record) {
	w, r := s.w, &p.records[rec.Tag]
	if !rec.Settled() {
		w.logLocked("left", p.name, r.id)
		r.gone = s.kind == onceKind
		return
	}
	w.offered = false
	end, sure := w.outcome(s.index, r)
	switch {
	case end == flow.Open:
		w.violateLocked("%s was acknowledged as %s before every branch had ended", r.id, rec.End())
	case sure && w.offered && end == flow.Filtered && (rec.End() == flow.Delivered || rec.End() == flow.Dropped):
		// only optional sinks were to get it
	case sure && end != rec.End():
		w.violateLocked("%s ended as %s, counted as %s", r.id, end, rec.End())
	}
	if !w.crashed {
		w.logLocked("settled", p.name, r.id)
		r.settled = true
	}
}

// outcome is what the facts say of a record.
func (w *world) outcome(source int, r *simRecord) (flow.End, bool) {
	s := &w.program.Sources[source]
	if r.failure || int64(r.size) > w.program.Limits.MaxMessage {
		return w.holdsFailure(s.OnError, nil, nil, r.id, s.Name)
	}
	return w.holdsAll(s.Out, r.id, "")
}
