// Package amqp reads from queues and publishes to exchanges of RabbitMQ and other AMQP 0-9-1 brokers. It knows no engine and no other
// connector.
//
// The source consumes one queue with manual acknowledgement and a prefetch window that goes by the size of the messages. Each connection
// is a lane of its own, since the broker redelivers what a lost connection leaves. Settled deliveries are acknowledged as a contiguous prefix with one frame; what is
// settled behind a hole is acknowledged by itself after a moment, so that one slow record does not use up the window; what comes back
// unsettled is requeued.
//
// The sink publishes on a connection of its own with publisher confirms, many under way at a time, persistent (unless the message comes
// from AMQP and was not) and mandatory: a message
// that no queue takes is an error, not a loss. The broker returns such a message before it confirms it; the two are told together by
// the order of publishing and the content, see window.go.
//
// What the parts of a message become:
//
//   - the payload as it is. No payload (a tombstone) is an empty one with the header millstream-tombstone: true;
//   - AMQP has no key: it travels as the header millstream-key, text where it is UTF-8 and bytes where not, and becomes the key again
//     at the source;
//   - headers with their types; Native keeps what the common types cannot say (a short integer, a decimal, a table). Of repeated names
//     the values become one JSON array, which the header millstream-ht-<name>: repeated lets the source take apart again. Kafka's headers,
//     which have no type, are text where they are UTF-8 and no hint says bytes. CC and BCC, which would route copies, and x-delivery-count, which belongs to one queue, are left
//     out; so are headers of other technologies' connections (transport.Foreign), and headers of other technologies have limits
//     (transport.CheckHeaders);
//   - the event time becomes the timestamp, in seconds, and the header timestamp_in_ms where it has a fraction;
//   - properties are carried as they are. A message without a message_id that comes from elsewhere, and what split made, get one: the id of
//     transport.DeduplicationID, where the message can be told from all others. user_id is published only where it is the connection's own
//     user, as the broker demands, and else is the header millstream-user-id; reply_to of another kind than a queue is the header
//     millstream-reply-to. Properties that a message of another technology has as headers, as the Kafka sink writes them, become properties
//     again (carried.go). A correlation id of bytes from elsewhere is base64, and so are repeated headers of bytes: the header
//     millstream-b64 names such parts, correlation_id, meta.<name> and key, and the source makes bytes of them again (received.go);
//   - millstream-src-address says where a message was published to, where many such places lead to one exchange and routing key.
package amqp

import "github.com/millstream/millstream/pipelines/config"

// Type is the connector amqp.
func Type() config.ConnectorType {
	return config.ConnectorType{
		Name:      "amqp",
		Doc:       "Consumes a queue of RabbitMQ with acknowledgements; publishes with confirms, mandatory, and persistent unless a message came from AMQP and was not.",
		NewSource: func() config.SourceConfig { return &Source{} },
		NewSink:   func() config.SinkConfig { return &Sink{} },
	}
}
