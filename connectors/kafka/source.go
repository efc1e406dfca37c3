package kafka

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

// source reads topics as a member of a group. The member joins with Run and leaves with Close, so that opening a new revision of a
// pipeline does not push the running one out of the group.
type source struct {
	host    flow.Host
	log     *quiet
	cluster cluster
	cfg     Source
	topics  *selection

	batchRecords, highRecords int
	batchBytes                int64
	// brokers and partitionsAll are how many the cluster and the topics had when the source was opened.
	brokers, partitionsAll int
	flights                sync.Pool
	// urgent: a commit is due at once. assignedNow is how many partitions share in_flight.
	urgent      chan struct{}
	assignedNow atomic.Int32

	client *kgo.Client
	// reading ends when Run is to return.
	reading context.Context
	stop    context.CancelFunc
	in      flow.Intake
	dirty   chan struct{} // one slot: something may be committed
	// closing: Close has begun; a revocation waits for nobody.
	closing chan struct{}
	// gaveUp: the last commit has failed; leaving the group makes no other.
	gaveUp atomic.Bool
	ended  sync.WaitGroup // the committer
	closed sync.Once

	// committing is held from reading the prefixes to the broker's answer, so that no commit overtakes another or outlives the
	// assignment that it is about.
	committing sync.Mutex

	mu         sync.Mutex
	partitions map[string]map[int32]*partition
	places     places
	refusal    error

	// denied is since when the brokers refuse permission, zero while they do not. Only the polling goroutine knows of it.
	denied time.Time
}

func (c *Source) open(cl cluster, topics *selection) func(context.Context, flow.Host) (flow.Source, error) {
	return func(ctx context.Context, host flow.Host) (flow.Source, error) {
		probe, err := cl.probe(host)
		if err != nil {
			return nil, err
		}
		defer probe.Close()
		if err := cl.checkOpen(ctx, probe, topics.names); err != nil {
			return nil, err
		}
		s := newSource(host, cl, *c, topics)
		s.brokers, s.partitionsAll = cl.measure(ctx, probe, topics)
		if s.places.known, err = lookAt(ctx, probe, topics); err != nil {
			return nil, cl.openError(err)
		}
		return s, nil
	}
}

func newSource(host flow.Host, cl cluster, c Source, topics *selection) *source {
	limits := host.Limits()
	s := &source{
		host: host, log: newQuiet(host.Logger()), cluster: cl, cfg: c, topics: topics,
		batchRecords: limits.BatchRecords(), batchBytes: limits.BatchBytes(),
		urgent: make(chan struct{}, 1),
		dirty:  make(chan struct{}, 1), closing: make(chan struct{}), partitions: map[string]map[int32]*partition{},
		places: newPlaces(),
	}
	s.highRecords, s.brokers, s.partitionsAll = 4*s.batchRecords, 1, 1
	s.flights.New = func() any { return &flight{} }
	return s
}

// share is how many uncommitted records each partition may have.
func (s *source) share() int {
	return max(1, s.host.Limits().InFlight/max(1, int(s.assignedNow.Load())))
}

// What is read ahead keeps to in_flight_bytes, beside what the engine has in flight: half of it is for the client's fetches, divided by
// the brokers, since it keeps one of each; a quarter for the queues of the partitions; and a quarter for what a fetch may add to a queue
// that is not full yet. A broker counts compressed bytes, and sends a batch that is larger than it may be alone.

// queueShare is how many bytes a partition queues before it is paused.
func (s *source) queueShare() int64 {
	return min(2*s.batchBytes, max(1, s.host.Limits().InFlightBytes/4/max(1, int64(s.assignedNow.Load()))))
}

// fetchSizes are the most bytes of a fetch, and of one partition in it.
func (s *source) fetchSizes() (whole, partition int32) {
	limit := s.host.Limits().InFlightBytes
	whole = int32(min(max(limit/2/int64(max(1, s.brokers)), minFetch), maxFetch))
	partition = int32(min(max(limit/4/int64(max(1, s.partitionsAll)), minFetch/4), 1<<20, int64(whole)))
	return whole, partition
}

const (
	minFetch = 64 << 10
	maxFetch = 8 << 20
)

const (
	// rebalanceTimeout is how long the group waits for a member that must let go of partitions.
	rebalanceTimeout = 60 * time.Second
	// revokePatience is how long a member waits for the batches in flight of partitions that it must let go of. The partitions that it
	// keeps are not read meanwhile.
	revokePatience = 5 * time.Second
)

// fetchWait is how long a broker may hold a fetch that finds nothing. A partition that is resumed meanwhile waits for that fetch to come
// back, so the client's default of 5 s would stop it for as long.
const fetchWait = 100 * time.Millisecond

func (s *source) groupOptions() (opts []kgo.Opt, release func() error, err error) {
	opts, release, err = s.consumerOptions()
	if err != nil {
		return nil, nil, err
	}
	return append(opts,
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(s.assigned), kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.lost),
	), release, nil
}

// consumerOptions are those of a member of the group, whatever it does with what it reads.
func (s *source) consumerOptions() (opts []kgo.Opt, release func() error, err error) {
	opts, release, err = s.cluster.clientOptions(s.host, s.log)
	if err != nil {
		return nil, nil, err
	}
	start := kgo.NewOffset().AtStart()
	if s.cfg.Start == "latest" {
		start = kgo.NewOffset().AtEnd()
	}
	isolation := kgo.ReadCommitted()
	if s.cfg.Isolation == "read_uncommitted" {
		isolation = kgo.ReadUncommitted()
	}
	fetch, fetchPartition := s.fetchSizes()
	opts = append(opts, s.topics.options()...)
	return append(opts,
		kgo.ConsumerGroup(s.cfg.Group), kgo.ConsumeStartOffset(start), kgo.InstanceID(s.member()),
		kgo.MetadataMaxAge(metadataAge), kgo.AdjustFetchOffsetsFn(s.whereToBegin), kgo.Balancers(s.cfg.balancers()...), kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.SessionTimeout(s.cfg.SessionTimeout), kgo.HeartbeatInterval(min(3*time.Second, s.cfg.SessionTimeout/3)),
		kgo.FetchMaxWait(fetchWait), kgo.FetchMaxBytes(fetch), kgo.FetchMaxPartitionBytes(fetchPartition), kgo.FetchIsolationLevel(isolation),
	), release, nil
}

// balancers are the ways of sharing partitions that the member offers to the group.
func (c *Source) balancers() []kgo.GroupBalancer {
	if c.Balance == "eager" {
		return []kgo.GroupBalancer{kgo.StickyBalancer(), kgo.RoundRobinBalancer(), kgo.RangeBalancer()}
	}
	return []kgo.GroupBalancer{kgo.CooperativeStickyBalancer()}
}

// member is the name under which the group knows the source, also after a restart.
func (s *source) member() string {
	return memberName(s.host.Instance(), s.host.Pipeline(), s.host.Name())
}

// memberName makes the static member's name. The broker takes what it takes for a topic; what must be changed for that is told apart
// by a hash.
func memberName(parts ...string) string {
	whole := strings.Join(parts, ".")
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && legalInTopic(byte(r)) {
			return r
		}
		return '_'
	}, whole)
	if name == whole && len(name) <= maxTopic {
		return name
	}
	sum := sha256.Sum256([]byte(whole))
	return name[:min(len(name), 200)] + "." + hex.EncodeToString(sum[:8])
}

// Run implements flow.Source.
func (s *source) Run(ctx context.Context, in flow.Intake) error {
	s.in = in
	s.reading, s.stop = context.WithCancel(ctx)
	defer s.stop()
	client, err := s.live(ctx)
	if err == nil {
		s.ended.Go(s.commitNowAndThen)
		s.ended.Go(s.watchEnds)
		err = s.poll(ctx)
	}
	for isAnew(err) && s.reading.Err() == nil {
		s.partAnew(ctx, client)
		if client, err = s.live(ctx); err == nil {
			err = s.poll(ctx)
		}
	}
	s.stop()
	s.waitForPushers()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != nil {
		return s.refusal
	}
	if isAnew(err) {
		return nil
	}
	return err
}

// live begins the life of a client.
func (s *source) live(ctx context.Context) (*kgo.Client, error) {
	opts, release, err := s.groupOptions()
	if err != nil {
		return nil, err
	}
	s.committing.Lock()
	defer s.committing.Unlock()
	client, err := kgo.NewClient(append(opts, kgo.WithContext(context.WithoutCancel(ctx)))...)
	if err != nil {
		_ = release()
		return nil, flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "kafka: %w", err)
	}
	s.mu.Lock()
	s.client = client
	s.mu.Unlock()
	return client, nil
}

// poll reads until the source is to end. It never waits for the pipeline.
func (s *source) poll(ctx context.Context) error {
	for s.reading.Err() == nil {
		fetches := s.client.PollRecords(s.reading, 16*s.batchRecords) //nolint:contextcheck // it ends with a refusal, too
		err := s.fetchErrors(ctx, fetches)
		pause := map[string][]int32{}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if len(f.Records) == 0 {
				return
			}
			p := s.partition(f.Topic, f.Partition)
			if p == nil {
				return
			}
			p.ends.Store(f.LastStableOffset)
			if s.cfg.Isolation == "read_uncommitted" || f.LastStableOffset < 0 {
				p.ends.Store(f.HighWatermark)
			}
			if p.take(f.Records) {
				pause[f.Topic] = append(pause[f.Topic], f.Partition)
			}
		})
		if len(pause) > 0 {
			s.client.PauseFetchPartitions(pause)
			s.unpauseEmptied(pause)
		}
		s.client.AllowRebalance()
		if err != nil {
			return err
		}
	}
	return nil
}

// unpauseEmptied resumes what was emptied between the decision to pause and the pause.
func (s *source) unpauseEmptied(paused map[string][]int32) {
	for topic, numbers := range paused {
		for _, n := range numbers {
			p := s.partition(topic, n)
			p.mu.Lock()
			paused := p.paused
			p.mu.Unlock()
			if !paused {
				s.client.ResumeFetchPartitions(map[string][]int32{topic: {n}})
			}
		}
	}
}

// deniedPatience is how long a source waits for a permission that it does not have: a broker that starts may not know of all at once.
const deniedPatience = 3 * time.Second

// permitted ends a source that has no permission and gets none.
func (s *source) permitted(err error) error {
	if s.denied.IsZero() {
		s.denied = time.Now()
	}
	if time.Since(s.denied) < deniedPatience {
		return nil
	}
	return flow.Errorf(flow.ConfigError, flow.CodeAuth, "group %q may not read: %w", s.cfg.Group, err)
}

// fetchErrors logs what the client rides out, and returns what it cannot.
func (s *source) fetchErrors(ctx context.Context, fetches kgo.Fetches) (fatal error) {
	if fetches.NumRecords() > 0 {
		s.denied = time.Time{}
		s.sawTopics(fetches)
		s.fetched(fetches)
	}
	fetches.EachError(func(topic string, partition int32, err error) {
		var loss *kgo.ErrDataLoss
		switch {
		case isAny(err, context.Canceled, context.DeadlineExceeded, kgo.ErrClientClosed):
		case errors.As(err, &loss):
			s.host.Logger().Error("records are gone from the topic that were never read", "topic", topic, "partition", partition, "error", err)
		case errors.Is(err, kerr.FencedInstanceID):
			fatal = flow.Errorf(flow.ConfigError, flow.CodeRefused,
				"group %q has another member with this instance, pipeline and source name: give each process its own --instance: %w",
				s.cfg.Group, err)
		default:
			if class, code := classOf(err); class == flow.ConfigError && code == flow.CodeAuth {
				if fatal == nil {
					fatal = s.permitted(err)
				}
				s.nap()
				return // the end says it
			}
			if fatal == nil {
				fatal = s.madeAnew(ctx, topic, err)
			}
			s.log.warn(reading(topic), "fetch failed; it is tried again", "topic", topic, "partition", partition, "error", err)
			s.nap()
		}
	})
	return fatal
}

const readingOf = "reading "

// reading is the name of a trouble with a topic, or with all of them.
func reading(topic string) string { return readingOf + cmp.Or(topic, "as a member of the group") }

// fetched says of topics that they can be read again.
func (s *source) fetched(fetches kgo.Fetches) {
	if s.log.open.Load() == 0 {
		return
	}
	s.log.over("it works again", reading(""))
	fetches.EachTopic(func(t kgo.FetchTopic) {
		failed := false
		for i := range t.Partitions {
			failed = failed || t.Partitions[i].Err != nil
		}
		if !failed {
			s.log.over("it works again", reading(t.Topic))
		}
	})
}

// nap keeps an error that comes back at once from filling the log.
func (s *source) nap() {
	select {
	case <-time.After(250 * time.Millisecond):
	case <-s.reading.Done():
	}
}

func (s *source) partition(topic string, number int32) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions[topic][number]
}

// refused ends Run with the error of a Push.
func (s *source) refused(err error) {
	s.mu.Lock()
	if s.refusal == nil && s.reading.Err() == nil {
		s.refusal = err
	}
	s.mu.Unlock()
	s.stop()
}

func (s *source) waitForPushers() {
	for _, p := range s.all() {
		<-p.ended
	}
}

func (s *source) all() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*partition
	for _, byNumber := range s.partitions {
		for _, p := range byNumber {
			all = append(all, p)
		}
	}
	return all
}

// Settle implements flow.Source.
func (s *source) Settle(b *flow.Batch) {
	f, ok := b.Memory.(*flight)
	if !ok {
		return
	}
	if f.partition.settle(f) {
		select {
		case s.dirty <- struct{}{}:
		default:
		}
	}
}

func (s *source) newFlight(n int) *flight {
	f, _ := s.flights.Get().(*flight)
	if cap(f.batch.Records) < n {
		f.batch.Records, f.epochs = make([]flow.Record, n), make([]int32, n)
	}
	f.batch.Records, f.epochs, f.batch.Memory = f.batch.Records[:n], f.epochs[:n], f
	f.back, f.prefix = false, 0
	return f
}

func (s *source) release(f *flight) {
	clear(f.batch.Records)
	f.partition, f.batch.Lane = nil, nil
	s.flights.Put(f)
}

// Close implements flow.Source.
func (s *source) Close(ctx context.Context) (err error) {
	s.closed.Do(func() {
		close(s.closing)
		s.ended.Wait()
		s.mu.Lock()
		client := s.client
		s.mu.Unlock()
		if client == nil {
			return
		}
		if _, err = s.commit(ctx, s.all()); err != nil {
			s.gaveUp.Store(true)
			err = fmt.Errorf("commit of group %q at the end: %w", s.cfg.Group, err)
		}
		id, _ := client.GroupMetadata()
		client.CloseAllowingRebalance()
		s.leave(ctx, id)
	})
	return err
}
