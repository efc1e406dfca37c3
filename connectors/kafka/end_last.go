package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

// endLast ends the transaction that a process of this name has left open, if one was killed in it. Until then the group does not tell how far it
// has read, and the client asks for that only once a second. What goes wrong here, the client of the session meets again, unless it is for good.
func (s *transactor) endLast(ctx context.Context) error {
	opts, release, err := s.member.cluster.clientOptions(s.member.host, s.member.log)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(opts, kgo.TransactionalID(s.member.member()), kgo.TransactionTimeout(transactionTimeout))...)
	if err != nil {
		_ = release()
		return flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "kafka: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if _, _, err := client.ProducerID(ctx); err != nil {
		if class, code := classOf(err); class == flow.ConfigError && code == flow.CodeAuth {
			return flow.Errorf(class, code, "transactional id %q: %w", s.member.member(), err)
		}
	}
	return nil
}
