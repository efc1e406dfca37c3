package kafka

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
)

// stockMember is a subscription of the stock driver as its group knows it. The module has a member for each topic, and tells nobody but a
// tracer about its sessions.
type stockMember struct {
	*source

	mu sync.Mutex
	id string // in the last session, empty before the first one
}

func newStockMember(host flow.Host, cl cluster, c *Source, topics *selection, number int) *stockMember {
	if number > 0 {
		host = memberHost{host, host.Name() + "." + topics.names[number]}
	}
	return &stockMember{source: newSource(host, cl, *c, topics)}
}

// memberHost is the host of a source's second and further members.
type memberHost struct {
	flow.Host
	name string
}

// Name implements flow.Host.
func (h memberHost) Name() string { return h.name }

// leave takes the member out of the group: sarama leaves no group in which its member has a name.
func (m *stockMember) leave(ctx context.Context) {
	m.mu.Lock()
	id := m.id
	m.mu.Unlock()
	m.source.leave(ctx, id)
}

// WrapConsumerGroupHandler implements stock.SaramaTracer.
func (m *stockMember) WrapConsumerGroupHandler(h sarama.ConsumerGroupHandler) sarama.ConsumerGroupHandler {
	return stockSessions{h, m}
}

// WrapConsumer implements stock.SaramaTracer.
func (*stockMember) WrapConsumer(c sarama.Consumer) sarama.Consumer { return c }

// WrapPartitionConsumer implements stock.SaramaTracer.
func (*stockMember) WrapPartitionConsumer(c sarama.PartitionConsumer) sarama.PartitionConsumer {
	return c
}

// WrapSyncProducer implements stock.SaramaTracer.
func (*stockMember) WrapSyncProducer(_ *sarama.Config, p sarama.SyncProducer) sarama.SyncProducer {
	return p
}

// stockSessions is told of each session of a member.
type stockSessions struct {
	sarama.ConsumerGroupHandler
	member *stockMember
}

// Setup implements sarama.ConsumerGroupHandler.
func (s stockSessions) Setup(session sarama.ConsumerGroupSession) error {
	s.member.mu.Lock()
	s.member.id = session.MemberID()
	s.member.mu.Unlock()
	return s.ConsumerGroupHandler.Setup(session)
}

// refusal ends a source that the brokers will not let read: the module would try again for ever.
type refusal struct {
	failed chan error

	mu    sync.Mutex
	first time.Time // when a permission was missed first
	last  time.Time
}

func newRefusal() *refusal { return &refusal{failed: make(chan error, 1)} }

// deniedPause is how long nobody has to complain of a permission until it counts as given.
const deniedPause = 10 * time.Second

// seen takes an error that the module has logged.
func (r *refusal) seen(err error) {
	e := flow.AsError(classifyStock(err), flow.Transient, flow.CodeUnavailable)
	if e.Class != flow.ConfigError || e.Code == flow.CodeMissing || e.Code == flow.CodeAuth && !r.lasting() {
		return
	}
	select {
	case r.failed <- e:
	default: // one is enough
	}
}

// lasting tells whether permission has been missing for longer than a broker that starts may need to know of it.
func (r *refusal) lasting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.last) > deniedPause {
		r.first = now
	}
	r.last = now
	return now.Sub(r.first) >= deniedPatience
}

// passing tells whether a subscription that failed is worth another attempt.
func passing(err error) bool {
	return flow.AsError(classifyStock(err), flow.Transient, flow.CodeUnavailable).Class == flow.Transient
}

// classifyStock gives the errors of the stock module their class.
func classifyStock(err error) error {
	class, code := flow.Transient, flow.CodeUnavailable
	switch {
	case errors.Is(err, sarama.ErrMessageSizeTooLarge), strings.Contains(err.Error(), "message size too large"),
		strings.Contains(err.Error(), "larger than configured Producer.MaxMessageBytes"):
		class, code = flow.Permanent, flow.CodeTooLarge
	case isAny(err, sarama.ErrUnknownTopicOrPartition):
		class, code = flow.ConfigError, flow.CodeMissing
	case isAny(err, sarama.ErrTopicAuthorizationFailed, sarama.ErrGroupAuthorizationFailed, sarama.ErrClusterAuthorizationFailed,
		sarama.ErrSASLAuthenticationFailed, sarama.ErrUnsupportedSASLMechanism), transport.Failure(err):
		class, code = flow.ConfigError, flow.CodeAuth
	case isAny(err, sarama.ErrInvalidPartition):
		class, code = flow.Permanent, flow.CodeUnroutable
	case isAny(err, sarama.ErrInvalidTopic):
		class, code = flow.Permanent, flow.CodeInvalidName
	case isAny(err, sarama.ErrInvalidTimestamp, sarama.ErrPolicyViolation):
		class, code = flow.Permanent, flow.CodeRefused
	case isAny(err, sarama.ErrFencedInstancedId):
		return flow.Errorf(flow.ConfigError, flow.CodeRefused,
			"the group has another member with this instance, pipeline and source name: give each process its own --instance: %w", err)
	case isAny(err, sarama.ErrInconsistentGroupProtocol, sarama.ErrInvalidGroupId, sarama.ErrInvalidSessionTimeout):
		class, code = flow.ConfigError, flow.CodeRefused
	}
	return flow.Errorf(class, code, "kafka: %w", err)
}
