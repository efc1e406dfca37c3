package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millstream/millstream/flow"
)

// destinations are the topics that a template has led to. They are counted, because the client keeps something of each for ever and so
// may the cluster, and those that are missing are made where the file says so.
type destinations struct {
	cluster *cluster
	create  *Create
	most    int
	// pretend: the brokers are asked whether they would make the topic, and make none.
	pretend bool
	// learn asks for the settings of a new topic.
	learn func(ctx context.Context, client *kgo.Client, topic string)

	mu    sync.RWMutex
	known map[string]struct{}
}

func newDestinations(cl *cluster, c *Sink) *destinations {
	return &destinations{cluster: cl, create: c.Create, most: c.MaxTopics, known: map[string]struct{}{}}
}

// admit lets a topic be written to. It does I/O where the topic is new and may have to be made.
func (d *destinations) admit(ctx context.Context, client *kgo.Client, topic string) error {
	d.mu.RLock()
	_, ok := d.known[topic]
	d.mu.RUnlock()
	if ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.known[topic]; ok {
		return nil
	}
	if len(d.known) >= d.most {
		return flow.Errorf(flow.Permanent, flow.CodeRefused, "the topic %q would be one more than max_topics, %d", topic, d.most)
	}
	if err := d.make(ctx, client, topic); err != nil {
		return err
	}
	if d.learn != nil {
		d.learn(ctx, client, topic)
	}
	d.known[topic] = struct{}{}
	return nil
}

// make creates the topic if it is missing and the file wants it.
func (d *destinations) make(ctx context.Context, client *kgo.Client, topic string) error {
	if d.create == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := d.cluster.checkTopics(ctx, client, []string{topic}); err == nil || !unknownTopic(err) {
		return err
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, -1, -1
	if d.create.Partitions > 0 {
		t.NumPartitions = d.create.Partitions
	}
	if d.create.Replication > 0 {
		t.ReplicationFactor = d.create.Replication
	}
	for name, text := range d.create.Config {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, kmsg.StringPtr(text)
		t.Configs = append(t.Configs, c)
	}
	req.Topics, req.ValidateOnly = append(req.Topics, t), d.pretend
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return classify(fmt.Errorf("create topic %q: %w", topic, err))
	}
	for i := range resp.Topics {
		if err := kerr.ErrorForCode(resp.Topics[i].ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return createError(topic, err, deref(resp.Topics[i].ErrorMessage))
		}
	}
	if d.pretend {
		return nil
	}
	return d.cluster.checkOpen(ctx, client, []string{topic})
}

// createError classifies why a topic was not made. What the broker does not take from this file, it never will.
func createError(topic string, err error, message string) error {
	if message == "" {
		message = err.Error()
	}
	class, code := classOf(err)
	if isAny(err, kerr.InvalidPartitions, kerr.InvalidReplicationFactor, kerr.InvalidConfig, kerr.PolicyViolation, kerr.InvalidRequest) {
		class, code = flow.ConfigError, flow.CodeRefused
	}
	return flow.Errorf(class, code, "create topic %q: %s: %w", topic, message, err)
}
