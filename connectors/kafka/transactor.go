package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/failpoint"
)

// transactor is the source of a pipeline that delivers exactly once: it reads for a moment, waits until all of it has ended, and commits
// what the sinks have written and what was read in one transaction. When anything goes wrong on the way, the transaction is given up and
// its records are read again; who reads committed records sees nothing of that.
type transactor struct {
	member      *source // what it has in common with a source that commits by itself
	transaction *transaction
	release     func() error

	reading context.Context
	in      flow.Intake
	closed  sync.Once
	size    *allowance // of the next transaction

	mu      sync.Mutex
	session *kgo.GroupTransactSession
	now     *try
	begun   bool
	lanes   map[string]*flow.Lane
	marks   map[string]mark
}

// mark is how far a partition is committed and polled, and where it ends.
type mark struct{ committed, polled, ends int64 }

// cargo is the memory of a batch.
type cargo struct {
	batch flow.Batch
	of    *try
}

func (c *Source) openTransactor(cl cluster, topics *selection) func(context.Context, flow.Host) (flow.Source, error) {
	open := c.open(cl, topics)
	return func(ctx context.Context, host flow.Host) (flow.Source, error) {
		opened, err := open(ctx, host)
		if err != nil {
			return nil, err
		}
		member, ok := opened.(*source)
		if !ok {
			return nil, fmt.Errorf("the source is a %T", opened)
		}
		t, release, err := cl.transaction(host)
		if err != nil {
			return nil, err
		}
		return &transactor{
			member: member, transaction: t, release: release, size: newAllowance(transactionLimit), now: newTry(transactionLimit),
			lanes: map[string]*flow.Lane{}, marks: map[string]mark{},
		}, nil
	}
}

// Run implements flow.Source. A client that has failed for good makes place for a new one, which the brokers take for the same one after
// a restart.
func (s *transactor) Run(ctx context.Context, in flow.Intake) error {
	s.reading, s.in, s.member.reading = ctx, in, ctx
	if err := s.endLast(ctx); err != nil {
		return err
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := s.live(ctx)
		if s.stopping() {
			return nil
		}
		if class, code := classOf(err); class == flow.ConfigError && code != flow.CodeMissing {
			return flow.Errorf(class, code, "group %q: %w", s.member.cfg.Group, err)
		}
		if !isAnew(err) {
			s.member.log.warn(transactions, "the transactional client failed; a new one takes its place", "error", err)
		}
		s.closeSession()
		s.member.lookForAnew(ctx)
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		s.sleep(pause)
	}
}

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// transactions is the name of a trouble.
const transactions = "transactions"

func (s *transactor) stopping() bool { return s.reading.Err() != nil }

func (s *transactor) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.reading.Done():
	}
}

// live is the life of one client; it returns when the reading ends, or why the client cannot go on.
func (s *transactor) live(ctx context.Context) error {
	session, err := s.newSession(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.session = session
	s.mu.Unlock()
	pause := firstPause
	for !s.stopping() {
		committed, err := s.cycle(ctx, session)
		switch {
		case err != nil:
			return s.lastWords(ctx, session, err)
		case committed:
			pause = firstPause
		case !s.stopping():
			s.sleep(pause)
			pause = min(2*pause, lastPause)
		}
	}
	return nil
}

// lastWords looks whether a client that failed has been replaced by another process with its name, which only the group tells for sure.
func (s *transactor) lastWords(ctx context.Context, session *kgo.GroupTransactSession, err error) error {
	if !isAny(err, kerr.ProducerFenced, kerr.InvalidProducerEpoch) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, min(3*time.Second, s.member.cfg.SessionTimeout/3)+time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if fatal := s.member.fetchErrors(ctx, session.PollRecords(ctx, 1)); fatal != nil {
			return fatal
		}
	}
	return err
}

func (s *transactor) newSession(ctx context.Context) (*kgo.GroupTransactSession, error) {
	opts, release, err := s.member.consumerOptions()
	if err != nil {
		return nil, err
	}
	codec, ok := codecs[s.transaction.codec()]
	if !ok {
		codec = kgo.NoCompression
	}
	limits := s.member.host.Limits()
	session, err := kgo.NewGroupTransactSession(append(opts,
		kgo.WithContext(context.WithoutCancel(ctx)),
		kgo.TransactionalID(s.member.member()), kgo.TransactionTimeout(transactionTimeout),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) {}),
		kgo.OnPartitionsRevoked(s.gone), kgo.OnPartitionsLost(s.gone),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProduceRequestTimeout(replicaWait), kgo.ProducerLinger(linger), kgo.ProducerBatchCompression(codec()),
		kgo.RecordPartitioner(newPartitioner()), kgo.ProducerBatchMaxBytesFn(s.transaction.limits.batchLimit),
		kgo.MaxBufferedRecords(16<<10), kgo.MaxBufferedBytes(int(max(64<<20, 2*limits.MaxMessage))), kgo.UnknownTopicRetries(2),
	)...)
	if err != nil {
		_ = release()
		return nil, flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "kafka: %w", err)
	}
	return session, nil
}

// endIsLate is how long the end of a transaction may take until something is said of it.
const endIsLate = 5 * time.Second

var errEndIsLate = fmt.Errorf("no answer for %s", endIsLate)

var errRebalance = errors.New("the group took partitions away")

// gone spoils the transaction under way: some of its partitions belong to another member now.
func (s *transactor) gone(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	if len(partitions) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.spoil(errRebalance)
	for topic, numbers := range partitions {
		for _, n := range numbers {
			delete(s.marks, laneName(topic, n))
		}
	}
}

// cycle is one transaction. When the reading ends first, it is left to Close.
func (s *transactor) cycle(ctx context.Context, session *kgo.GroupTransactSession) (committed bool, err error) {
	if err := session.Begin(); err != nil {
		return false, err
	}
	y := newTry(s.size.limit)
	s.mu.Lock()
	s.now, s.begun = y, true
	s.mu.Unlock()
	s.transaction.begin(session.Client(), y)
	if err := s.fill(ctx, session, y); err != nil {
		s.giveUp(y)
		y.over()
		s.transaction.end()
		return false, err
	}
	select {
	case <-y.allBack():
	case <-y.spoiled:
	case <-s.reading.Done():
	}
	if s.stopping() {
		return false, nil
	}
	if y.isSpoiled() {
		s.giveUp(y)
	}
	return s.finish(context.WithoutCancel(ctx), session, y) // an end that has begun is not given up
}

// fill reads and hands over for the interval, which begins with the first record, or as much as a transaction may take.
func (s *transactor) fill(ctx context.Context, session *kgo.GroupTransactSession, y *try) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-y.spoiled:
			cancel()
		case <-over:
		}
	}()
	until := ctx
	for until.Err() == nil && y.read() < s.size.most {
		fetches := session.PollRecords(until, min(16*s.member.batchRecords, s.size.most-y.read()))
		if fatal := s.member.fetchErrors(ctx, fetches); fatal != nil {
			return fatal
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if until == ctx {
			var stop context.CancelFunc
			until, stop = context.WithTimeout(ctx, transactionInterval)
			defer stop()
		}
		s.handOver(ctx, fetches, y)
	}
	return nil
}

// handOver pushes what was polled. What cannot be pushed keeps the transaction from being committed.
func (s *transactor) handOver(ctx context.Context, fetches kgo.Fetches, y *try) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		lane := s.mark(&f)
		for rest := f.Records; len(rest) > 0; {
			n, bytes := 0, int64(0)
			for n < len(rest) && n < s.member.batchRecords && (n == 0 || bytes+size(rest[n]) <= s.member.batchBytes) {
				bytes += size(rest[n])
				n++
			}
			c := &cargo{of: y, batch: flow.Batch{Lane: lane, Records: make([]flow.Record, n), Arrived: time.Now().UnixNano()}}
			c.batch.Memory = c
			fillBatch(c.batch.Records, rest[:n])
			y.handed(&c.batch)
			if err := s.in.Push(ctx, &c.batch); err != nil {
				y.back(&c.batch)
				return
			}
			rest = rest[n:]
		}
	})
}

func laneName(topic string, number int32) string { return fmt.Sprintf("%s/%d", topic, number) }

// mark notes what was polled of a partition and gives its lane.
func (s *transactor) mark(f *kgo.FetchTopicPartition) *flow.Lane {
	name := laneName(f.Topic, f.Partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.marks[name]
	if !ok {
		m.committed = f.Records[0].Offset
	}
	m.polled, m.ends = f.Records[len(f.Records)-1].Offset+1, f.HighWatermark
	s.marks[name] = m
	lane, ok := s.lanes[name]
	if !ok {
		lane = flow.NewLane(name)
		s.lanes[name] = lane
	}
	return lane
}

// giveUp takes back what is under way.
func (s *transactor) giveUp(y *try) {
	y.spoil(errSpoiled)
	s.mu.Lock()
	lanes := s.lanes
	s.lanes = map[string]*flow.Lane{}
	s.mu.Unlock()
	for _, lane := range lanes {
		lane.Abandon()
	}
	<-y.allBack()
}

// finish ends the transaction: with a commit when everything in it has ended.
func (s *transactor) finish(ctx context.Context, session *kgo.GroupTransactSession, y *try) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, transactionLimit)
	defer cancel()
	s.transaction.end()
	filled := y.over()
	failpoint.Hit(failpoint.TransactionEnding)
	slow := time.AfterFunc(endIsLate, func() {
		s.member.log.warn(transactions, "the brokers take long to end a transaction", "group", s.member.cfg.Group, "error", errEndIsLate)
	})
	committed, err = session.End(ctx, kgo.TransactionEndTry(y.whole()))
	slow.Stop()
	failpoint.Hit(failpoint.TransactionEnded)
	s.mu.Lock()
	s.begun = false
	for name, m := range s.marks {
		if committed {
			m.committed = m.polled
			s.marks[name] = m
			s.member.left(name, m.committed)
		}
	}
	if !committed {
		clear(s.marks)
	}
	s.mu.Unlock()
	if err != nil {
		return false, fmt.Errorf("end a transaction of group %q: %w", s.member.cfg.Group, err)
	}
	y.teach(s.size, committed)
	if committed {
		s.transaction.committed()
		s.member.log.over("it works again", transactions)
		return true, nil
	}
	if !filled {
		return false, nil
	}
	s.report(y)
	return false, nil
}

// report says why a transaction was given up.
func (s *transactor) report(y *try) {
	log, group := s.member.log, s.member.cfg.Group
	switch where, stuck := y.stuck(); {
	case stuck:
		log.say(s.member.host.Logger().Error, transactions,
			"one record alone takes longer than a transaction may, and is read again and again: make what it waits for faster (a call, a throttle, retries), or write delivery: at_least_once",
			"group", group, "record", where, "limit", s.size.limit, "error", y.reason())
	case errors.Is(y.reason(), errLate):
		log.warn(transactions, "a transaction was given up; its records are read again, in smaller transactions", "group", group,
			"records", y.read(), "next", s.size.most, "error", y.reason())
	default:
		log.warn(transactions, "a transaction was given up; its records are read again", "group", group, "error", y.reason())
	}
}

// Settle implements flow.Source.
func (s *transactor) Settle(b *flow.Batch) {
	c, ok := b.Memory.(*cargo)
	if !ok {
		return
	}
	c.of.back(b)
}

// Lag implements flow.Lagged.
func (s *transactor) Lag() (records int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.marks {
		records += max(0, m.ends-m.committed)
	}
	return records
}

// Close implements flow.Source. It commits the transaction under way when all of it has ended.
func (s *transactor) Close(ctx context.Context) (err error) {
	s.closed.Do(func() {
		s.mu.Lock()
		session, y, begun := s.session, s.now, s.begun
		s.mu.Unlock()
		if session != nil && begun {
			_, err = s.finish(ctx, session, y)
		}
		id := ""
		if session != nil {
			id, _ = session.Client().GroupMetadata()
		}
		s.closeSession()
		s.member.leave(ctx, id)
		err = errors.Join(err, s.release())
	})
	return err
}

func (s *transactor) closeSession() {
	s.mu.Lock()
	session := s.session
	s.session, s.begun = nil, false
	s.mu.Unlock()
	if session != nil {
		s.transaction.end()
		session.CloseAllowingRebalance()
	}
}
