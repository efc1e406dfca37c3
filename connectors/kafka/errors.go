package kafka

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
)

// classify says what can be done about an error of a broker or of the client.
func classify(err error) *flow.Error {
	class, code := classOf(err)
	return flow.Errorf(class, code, "%w", err)
}

func classOf(err error) (flow.Class, flow.Code) {
	if e := (*flow.Error)(nil); errors.As(err, &e) {
		return e.Class, e.Code
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return flow.Transient, flow.CodeUnavailable
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return flow.Permanent, flow.CodeTooLarge
	case unknownTopic(err):
		return flow.ConfigError, flow.CodeMissing
	case isAny(err, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed,
		kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState, kerr.SecurityDisabled,
		kerr.DelegationTokenAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed), transport.Failure(err):
		return flow.ConfigError, flow.CodeAuth
	case errors.Is(err, kerr.InvalidTopicException):
		return flow.Permanent, flow.CodeInvalidName
	case isAny(err, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.PolicyViolation, kerr.UnsupportedForMessageFormat):
		return flow.Permanent, flow.CodeRefused
	case isAny(err, kerr.FencedInstanceID, kerr.InvalidGroupID, kerr.InconsistentGroupProtocol, kerr.InvalidSessionTimeout):
		return flow.ConfigError, flow.CodeRefused
	case strings.HasPrefix(err.Error(), "invalid record partitioning choice"):
		return flow.Permanent, flow.CodeRefused
	}
	return flow.Transient, flow.CodeUnavailable
}

func unknownTopic(err error) bool {
	return isAny(err, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID)
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// brokerSaid tells whether the failure is a broker's answer.
func brokerSaid(err error) bool {
	var e *kerr.Error
	return errors.As(err, &e)
}
