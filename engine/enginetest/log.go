package enginetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/millstream/millstream/flow"
)

// Log is what a source reads that can be opened again: partitions of records, and of each how far it is acknowledged. A reader begins
// there, so what was not settled comes again.
type Log struct {
	// Refuse decides about each opening, from 1; nil opens.
	Refuse func(n int) error
	// Batch is how many records are pushed together at most; 16 when 0.
	Batch int

	mu      sync.Mutex
	parts   []*part
	ended   bool
	changed chan struct{} // closed and made anew when something is appended
	opened  int
	open    int
	most    int
	misuse  []string
}

type part struct {
	records   []flow.Record
	settled   []bool
	committed int
}

// NewLog makes an empty log.
func NewLog(parts int) *Log {
	l := &Log{changed: make(chan struct{})}
	for range parts {
		l.parts = append(l.parts, &part{})
	}
	return l
}

// Append adds records to a partition.
func (l *Log) Append(partition int, records ...flow.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.parts[partition]
	for _, r := range records {
		r.Topic, r.Partition, r.Offset, r.Attempt = "log", int32(partition), int64(len(p.records)), 0 // a test has few partitions
		p.records = append(p.records, r)
		p.settled = append(p.settled, false)
	}
	l.signal()
}

// End lets readers return once they have read all.
func (l *Log) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.signal()
}

func (l *Log) signal() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Committed is how many records are acknowledged.
func (l *Log) Committed() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parts {
		n += p.committed
	}
	return n
}

// Opened counts the openings, also those that were refused.
func (l *Log) Opened() int { l.mu.Lock(); defer l.mu.Unlock(); return l.opened }

// OpenNow counts the readers that are open.
func (l *Log) OpenNow() int { l.mu.Lock(); defer l.mu.Unlock(); return l.open }

// Most is how many readers were open at a time.
func (l *Log) Most() int { l.mu.Lock(); defer l.mu.Unlock(); return l.most }

// Misuse is what broke the contract of flow.Source.
func (l *Log) Misuse() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.misuse...)
}

// Open can be the Open of a pipelines.Source.
func (l *Log) Open(context.Context, flow.Host) (flow.Source, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
	if l.Refuse != nil {
		if err := l.Refuse(l.opened); err != nil {
			return nil, err
		}
	}
	l.open++
	l.most = max(l.most, l.open)
	r := &logReader{log: l}
	for i := range l.parts {
		r.lanes = append(r.lanes, flow.NewLane(fmt.Sprint("log/", i)))
	}
	return r, nil
}

type logReader struct {
	log    *Log
	lanes  []*flow.Lane
	out    int // batches that are not back; under the log's lock
	closed bool
}

// Run implements flow.Source.
func (r *logReader) Run(ctx context.Context, in flow.Intake) error {
	var parts sync.WaitGroup
	for i := range r.lanes {
		parts.Go(func() { r.read(ctx, in, i) })
	}
	parts.Wait()
	return nil
}

func (r *logReader) read(ctx context.Context, in flow.Intake, i int) {
	l := r.log
	l.mu.Lock()
	at := l.parts[i].committed
	l.mu.Unlock()
	for ctx.Err() == nil {
		l.mu.Lock()
		p, changed := l.parts[i], l.changed
		n := l.Batch
		if n == 0 {
			n = 16
		}
		b := &flow.Batch{Lane: r.lanes[i], Records: append([]flow.Record(nil), p.records[at:min(len(p.records), at+n)]...)}
		ended := l.ended
		if len(b.Records) > 0 {
			r.out++
		}
		l.mu.Unlock()
		switch {
		case len(b.Records) > 0:
			if err := in.Push(ctx, b); err != nil {
				l.mu.Lock()
				r.out--
				l.mu.Unlock()
				return
			}
			at += len(b.Records)
		case ended:
			return
		default:
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

// Settle implements flow.Source.
func (r *logReader) Settle(b *flow.Batch) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	r.out--
	if r.closed {
		l.misuse = append(l.misuse, "a batch came back after Close")
	}
	for i := range b.Records {
		rec := &b.Records[i]
		p := l.parts[rec.Partition]
		if rec.Settled() {
			p.settled[rec.Offset] = true
		}
		for p.committed < len(p.settled) && p.settled[p.committed] {
			p.committed++
		}
	}
}

// Close implements flow.Source.
func (r *logReader) Close(context.Context) error {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.out > 0 {
		l.misuse = append(l.misuse, fmt.Sprintf("closed with %d batches under way", r.out))
	}
	// What was settled behind something unsettled is read again with it.
	for _, p := range l.parts {
		clear(p.settled[p.committed:])
	}
	r.closed = true
	l.open--
	return nil
}
