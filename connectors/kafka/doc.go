// Package kafka reads from and writes to Kafka topics. It speaks the protocol through franz-go and knows no engine and no other
// connector.
//
// The source is a member of a consumer group. Each partition that it is assigned is a lane of its own; what is settled is committed
// as the contiguous prefix of the partition, a few times a second, when the partition is revoked, and at the end. Reading never waits
// for the pipeline: a partition whose lane is full is paused, and the member keeps polling and sending heartbeats.
//
// The sink writes with acks=all and an idempotent producer. A record is confirmed when all in-sync replicas have it. Within a
// partition the producer never writes a record while an earlier one that it has accepted is still undecided; when the broker refuses a
// batch for good, later batches of the partition may already be written, and the engine sends those of the same key again.
//
// What the parts of a message become:
//
//   - payload and key as they are; nil (a tombstone, no key) and empty are told apart in both directions;
//   - headers in order and with repeats. Bytes and text are written as they are, every other type as text, with a header
//     millstream-ht-<name> that names the type; so do bytes of another technology that could be text (tree.go says how lists and maps are
//     written);
//   - the event time becomes the record's timestamp, to the millisecond;
//   - properties become the headers content-type and content-encoding, and millstream-correlation-id, -message-id, -type, -app-id,
//     -user-id, -reply-to and -priority, where the message does not have them already; a time to live becomes millstream-ttl-ms and
//     millstream-expires-at, what is left of it and when it ends, both in milliseconds;
//   - millstream-id is an id to drop repeats by (transport.DeduplicationID), for what split made, for what has one already, and for messages
//     of another technology that can be told apart; millstream-src-address says where a message was published to, where many such places
//     lead to one topic;
//   - headers that belong to another technology's connections or credentials are left out (transport.Foreign), and headers from another
//     technology have limits (transport.CheckHeaders).
package kafka

import "github.com/millstream/millstream/pipelines/config"

// Type is the connector kafka.
func Type() config.ConnectorType {
	return config.ConnectorType{
		Name:      "kafka",
		Doc:       "Reads topics as a member of a consumer group; writes with acks=all and an idempotent producer.",
		NewSource: func() config.SourceConfig { return &Source{} },
		NewSink:   func() config.SinkConfig { return &Sink{} },
	}
}
