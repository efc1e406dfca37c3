package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
)

const (
	// linger is how long a partition waits for more records before it sends a batch. The client's own default is ten times as much,
	// which everything pays that waits for its batch.
	linger = time.Millisecond
	// deliveryTimeout bounds how long a record may be undecided; the engine tries it again.
	deliveryTimeout = 30 * time.Second
	// defaultBatchLimit is the largest batch unless the topic's settings say otherwise: what fits the broker's default.
	defaultBatchLimit = 1_000_012
	// batchOverhead is what a batch of one record has beyond payload, key and headers, at most.
	batchOverhead = 128
)

// producer is the client behind all sinks of a pipeline with equal settings, and behind those of its next revision. Pipelines do not
// share one: what a topic that cannot be written fills up of its buffer would hold up the others.
type producer struct {
	client *kgo.Client
	opts   []kgo.Opt
	log    *quiet
	// closing ends the looking around, and ended is closed when it has.
	closing context.Context
	close   context.CancelFunc
	ended   chan struct{}

	limits sync.Map // topic → topicSettings

	mu   sync.Mutex
	solo *kgo.Client
}

func (c *cluster) producer(host flow.Host, compression string) (*producer, func() error, error) {
	gates, leave, err := transport.ShareGates(host)
	if err != nil {
		return nil, nil, err
	}
	key := strings.Join([]string{"kafka", host.Pipeline(), compression, fmt.Sprint(host.Limits().MaxMessage), c.identity()}, "\x00")
	shared, release, err := host.Share(key, func() (io.Closer, error) { return c.newProducer(gates, host, compression) })
	if err != nil {
		return nil, nil, errors.Join(err, leave())
	}
	both := func() error { return errors.Join(release(), leave()) }
	p, ok := shared.(*producer)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("the shared kafka client is a %T", shared), both())
	}
	return p, both, nil
}

var codecs = map[string]func() kgo.CompressionCodec{
	"gzip": kgo.GzipCompression, "snappy": kgo.SnappyCompression, "lz4": kgo.Lz4Compression, "zstd": kgo.ZstdCompression,
	"none": kgo.NoCompression,
}

func (c *cluster) newProducer(gates *transport.Gates, host flow.Host, compression string) (*producer, error) {
	log := newQuiet(host.Logger())
	opts, err := c.optionsThrough(gates, host, log)
	if err != nil {
		return nil, err
	}
	codec, ok := codecs[compression]
	if !ok {
		codec = kgo.NoCompression
	}
	p := &producer{log: log}
	p.opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProduceRequestTimeout(replicaWait), kgo.ProducerLinger(linger), kgo.ProducerBatchCompression(codec()),
		kgo.RecordPartitioner(newPartitioner()), kgo.ProducerBatchMaxBytesFn(p.batchLimit),
		kgo.MaxBufferedRecords(16<<10), kgo.MaxBufferedBytes(int(max(64<<20, 2*host.Limits().MaxMessage))),
		kgo.AllowIdempotentProduceCancellation(), kgo.UnknownTopicRetries(2),
	)
	if p.client, err = kgo.NewClient(p.opts...); err != nil {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "kafka: %w", err)
	}
	p.closing, p.close = context.WithCancel(context.Background())
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		p.lookAround()
	}()
	return p, nil
}

func (p *producer) batchLimit(topic string) int32 {
	limit, _ := p.limitOf(topic)
	return limit
}

// alone is a client that puts one record into a batch and has one batch under way. A broker refuses a batch whole; what it refuses
// here, it refuses because of the record.
func (p *producer) alone() (*kgo.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.solo == nil {
		client, err := kgo.NewClient(append(p.opts[:len(p.opts):len(p.opts)], kgo.MaxBufferedRecords(1))...)
		if err != nil {
			return nil, err
		}
		p.solo = client
	}
	return p.solo, nil
}

// Close implements io.Closer.
func (p *producer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close()
	p.client.Close()
	<-p.ended
	if p.solo != nil {
		p.solo.Close()
	}
	return nil
}

// learn reads the topic's own settings before the first record goes to it.
func (p *producer) learn(ctx context.Context, client *kgo.Client, topic string) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if settings, ok := settingsOf(ctx, client, topic); ok {
		p.limits.Store(topic, settings)
	}
}
