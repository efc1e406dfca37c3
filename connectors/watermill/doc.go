// Package watermill joins our sources and sinks with watermill's publishers and subscribers, in both directions.
//
// Type makes a connector of any pair of watermill's message.Publisher and message.Subscriber, for a build of one's own:
//
//	watermill.Type(watermill.Options{Name: "sql", Subscriber: subscribe, Publisher: publish})
//
// NewSubscriber and NewPublisher make watermill's interfaces of a source and a sink of ours; the packages kafka and amqp offer theirs in
// this way.
//
// What a watermill message is made of: its UUID is a record's id and the header UUIDHeader on the wire, its metadata are headers of text,
// its payload is the body. Keys, typed and repeated headers, timestamps and payloads that are absent have no place in it; a connector that
// can keeps them beside it.
package watermill

// UUIDHeader is the header in which watermill-kafka and watermill-amqp carry a message's UUID.
const UUIDHeader = "_watermill_message_uuid"
