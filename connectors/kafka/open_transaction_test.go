//go:build integration

package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveOpen does what a process does that is killed in a transaction, after it has written how far it has read.
func leaveOpen(t *testing.T, brokers, id, group, topic string) {
	t.Helper()
	client := plainClient(t, brokers)
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis = kmsg.StringPtr(id), int32(transactionTimeout.Milliseconds())
	begin.ProducerID, begin.ProducerEpoch = -1, -1
	producer := must(begin.RequestWith(t.Context(), client))(t)
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.Group, add.ProducerID, add.ProducerEpoch = id, group, producer.ProducerID, producer.ProducerEpoch
	if err := kerr.ErrorForCode(must(add.RequestWith(t.Context(), client))(t).ErrorCode); err != nil {
		t.Fatal(err)
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch = id, group, producer.ProducerID, producer.ProducerEpoch
	commit.Generation = -1
	ofTopic, ofPartition := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	ofPartition.Offset = 2
	ofTopic.Topic, ofTopic.Partitions = topic, append(ofTopic.Partitions, ofPartition)
	commit.Topics = append(commit.Topics, ofTopic)
	if err := kerr.ErrorForCode(must(commit.RequestWith(t.Context(), client))(t).Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestATransactionThatADeadProcessLeftOpenIsEndedAtTheStart(t *testing.T) {
	brokers := realBrokers(t)
	in, out := freshTopic(t, brokers, 1), freshTopic(t, brokers, 1)
	var rs []*kgo.Record
	for n := range 3 {
		rs = append(rs, &kgo.Record{Topic: in, Value: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	produceAll(t, brokers, rs...)
	text := fmt.Sprintf(`
name: once
delivery: exactly_once
connections: { k: { kafka: { brokers: [%q] } } }
from: { kafka: { use: k, topics: [%s], group: %s } }
to: { kafka: { use: k, topic: %s } }
`, brokers, in, in, out)
	prog, findings := compileText(text)
	if prog == nil {
		t.Fatal(findings)
	}
	instance := in // another transactional id in each run
	leaveOpen(t, brokers, memberName(instance, "once", prog.Sources[0].Name), in, in)
	began := time.Now()
	running, _ := startPipeline(t, instance, text)
	for late := began.Add(patience); running.Balance().Delivered < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%+v: the broker has to end the transaction after %s", running.Balance(), transactionTimeout)
		}
	}
	t.Logf("after %s", time.Since(began))
	if ids := committedIDs(t, brokers, 3, out); len(ids) != 3 {
		t.Errorf("there is %v", ids)
	}
}
