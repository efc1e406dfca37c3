package kafka

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

const (
	// transactionInterval is how long a transaction takes in records before it is ended; those who read committed records wait for it.
	transactionInterval = 100 * time.Millisecond
	// transactionLimit is how long a transaction may take in all before it is given up and tried again, transactionTimeout when the broker
	// does so itself.
	transactionLimit   = 30 * time.Second
	transactionTimeout = 60 * time.Second
	// transactionDelivery bounds how long a record of a transaction may be undecided.
	transactionDelivery = 20 * time.Second
)

// transaction is what the source of a pipeline shares with its sinks: the client that is in a transaction, and the try that it belongs to.
type transaction struct {
	limits producer // what is known of topics; its client is never used

	// handing is held for reading while a record is handed to the client, and for writing while the transaction begins or ends.
	handing sync.RWMutex
	client  *kgo.Client // nil between transactions
	try     *try

	mu          sync.Mutex
	compression string
	verdicts    map[*verdicts]int // by how many sinks use them
}

// transaction lends the one of the pipeline.
func (c *cluster) transaction(host flow.Host) (*transaction, func() error, error) {
	key := strings.Join([]string{"kafka transaction", host.Pipeline(), c.identity()}, "\x00")
	shared, release, err := host.Share(key, func() (io.Closer, error) {
		return &transaction{verdicts: map[*verdicts]int{}}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	t, ok := shared.(*transaction)
	if !ok {
		return nil, nil, fmt.Errorf("the shared kafka transaction is a %T", shared)
	}
	return t, release, nil
}

// Close implements io.Closer; the source closes the client.
func (*transaction) Close() error { return nil }

// join makes a sink part of the transactions to come.
func (t *transaction) join(v *verdicts, compression string) (leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.compression = compression
	t.verdicts[v]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.verdicts[v]--; t.verdicts[v] == 0 {
			delete(t.verdicts, v)
		}
	}
}

func (t *transaction) codec() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.compression
}

// begin lets sinks write; end does not return before all that they have handed over is with the client.
func (t *transaction) begin(client *kgo.Client, of *try) {
	t.handing.Lock()
	t.client, t.try = client, of
	t.handing.Unlock()
}

func (t *transaction) end() {
	t.handing.Lock()
	t.client, t.try = nil, nil
	t.handing.Unlock()
}

// committed forgets what was learned of single messages.
func (t *transaction) committed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for v := range t.verdicts {
		v.forget()
	}
}

var errSpoiled = flow.Errorf(flow.Transient, flow.CodeAbandoned, "the transaction is given up; its records are read again")

// send hands records over within the transaction. Whatever goes wrong spoils it: a record that is sent again could be there twice.
func (s *sink) sendInTransaction(ctx context.Context, outs []*flow.Outgoing, done func()) {
	ctx, cancel := context.WithTimeoutCause(ctx, transactionDelivery, errUndecided)
	c := &call{limits: &s.transaction.limits, cancel: cancel, done: done}
	c.left.Store(int64(len(outs)))
	slots := make([]slot, len(outs))
	t := s.transaction
	for i, o := range outs {
		sl := &slots[i]
		sl.Context, sl.out, sl.call = ctx, o, c
		sl.fill()
		if sl.suspect() {
			sl.end(t.produceAlone(ctx, s, sl))
			continue
		}
		t.handing.RLock()
		err := t.admit(ctx, s, sl)
		if err == nil {
			t.client.Produce(ctx, &sl.record, produced)
		}
		t.handing.RUnlock()
		if err != nil {
			sl.end(err)
		}
	}
}

// admit lets a record into the transaction; handing is held.
func (t *transaction) admit(ctx context.Context, s *sink, sl *slot) error {
	sl.try, sl.verdicts = t.try, s.verdicts
	if t.client == nil || t.try.isSpoiled() {
		return errSpoiled
	}
	if s.destinations != nil {
		if err := s.destinations.admit(ctx, t.client, sl.record.Topic); err != nil {
			return err
		}
	}
	return t.limits.refusal(&sl.record)
}

// produceAlone sends a record that was refused together with others, in a batch of its own.
func (t *transaction) produceAlone(ctx context.Context, s *sink, sl *slot) error {
	t.handing.Lock()
	defer t.handing.Unlock()
	if err := t.admit(ctx, s, sl); err != nil {
		return err
	}
	if err := t.client.Flush(ctx); err != nil {
		return err
	}
	return t.client.ProduceSync(ctx, &sl.record).FirstErr()
}
