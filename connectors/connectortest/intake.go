package connectortest

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/millstream/millstream/flow"
)

// Got is a record as it was pushed, in memory of its own.
type Got struct {
	Body, Key []byte
	Headers   []flow.Header
	Topic     string
	Offset    int64
	Partition int32
	Time      int64
	Attempt   int32
	Failure   *flow.Error
}

// Intake is a flow.Intake that notes what it is given and settles it. The zero value settles each batch as delivered within Push.
type Intake struct {
	// Source gets the batches back. It must be set.
	Source flow.Source
	// Held keeps the batches unsettled until SettleAll.
	Held bool
	// End is how records are settled; flow.Delivered when left out. Leave settles nothing: the records stay at their source.
	End   flow.End
	Leave bool
	// Pushed is told of each batch before it is settled; may be nil. An error is what Push returns, and the batch is not taken.
	Pushed func(b *flow.Batch) error

	mu      sync.Mutex
	got     []Got
	held    []*flow.Batch
	sizes   []int
	taken   map[*flow.Batch]bool
	offence error
}

// Push implements flow.Intake.
func (i *Intake) Push(ctx context.Context, b *flow.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if i.Pushed != nil {
		if err := i.Pushed(b); err != nil {
			return err
		}
	}
	i.mu.Lock()
	i.note(b)
	i.held = append(i.held, b)
	i.mu.Unlock()
	if !i.Held {
		i.SettleAll()
	}
	return nil
}

func (i *Intake) note(b *flow.Batch) {
	if i.taken == nil {
		i.taken = map[*flow.Batch]bool{}
	}
	size := int64(0)
	switch {
	case i.taken[b]:
		i.complain("a batch was pushed again before it was settled")
	case b.Lane == nil:
		i.complain("a batch without a lane")
	case len(b.Records) == 0 || len(b.Records) > flow.MaxBatchRecords:
		i.complain("a batch of %d records", len(b.Records))
	case b.Arrived == 0:
		i.complain("a batch that does not say when it arrived")
	}
	i.taken[b] = true
	for k := range b.Records {
		r := &b.Records[k]
		size += int64(len(r.Body))
		if r.Attempt < 1 {
			i.complain("record %s: attempt %d, the first is 1", r.Position(), r.Attempt)
		}
		if r.Settled() {
			i.complain("record %s was settled before it was pushed", r.Position())
		}
		i.got = append(i.got, Got{
			Body: clone(r.Body), Key: clone(r.Key), Headers: append([]flow.Header(nil), r.Headers...), Topic: strings.Clone(r.Topic),
			Offset: r.Offset, Partition: r.Partition, Time: r.Time, Attempt: r.Attempt, Failure: r.Failure,
		})
	}
	if size > flow.MaxBatchBytes && len(b.Records) > 1 && size-int64(len(b.Records[len(b.Records)-1].Body)) >= flow.MaxBatchBytes {
		i.complain("a batch of %d bytes in %d records", size, len(b.Records))
	}
	i.sizes = append(i.sizes, len(b.Records))
}

// complain keeps the first offence.
func (i *Intake) complain(format string, args ...any) {
	if i.offence == nil {
		i.offence = fmt.Errorf(format, args...)
	}
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// SettleAll gives all batches that are held back to their source.
func (i *Intake) SettleAll() {
	i.mu.Lock()
	held := i.held
	i.held = nil
	for _, b := range held {
		delete(i.taken, b)
		end := i.End
		if end == flow.Open {
			end = flow.Delivered
		}
		if i.Leave {
			end = flow.Open
		}
		for k := range b.Records {
			b.Records[k].Finish(end)
		}
	}
	i.mu.Unlock()
	for _, b := range held {
		i.Source.Settle(b)
	}
}

// Got is all that was pushed so far.
func (i *Intake) Got() []Got {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Got(nil), i.got...)
}

// Bodies is the payloads of all that was pushed so far.
func (i *Intake) Bodies() []string {
	all := []string{}
	for _, g := range i.Got() {
		all = append(all, string(g.Body))
	}
	return all
}

// Sizes is how many records each batch had.
func (i *Intake) Sizes() []int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]int(nil), i.sizes...)
}

// Offence is what in the batches breaks the contract of flow.Source; nil when nothing does.
func (i *Intake) Offence() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.offence
}
