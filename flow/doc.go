// Package flow holds the contracts that nodes and connectors are written against: Message, Record, Batch, Lane, Source, Processor,
// Sink, and the error classes. It knows no pipeline language, no broker and no engine.
//
// A Source reads Records and pushes them in Batches, each batch a run of records of one Lane under one acknowledgement. The engine
// views each record as a Message, leads it through Processors, and collects what reaches a Sink as Outgoing. A batch is settled when
// every record of it has an End on every branch it took; only then the source may acknowledge it. What a component must do to keep
// the at-least-once promise stands at the interface it implements.
package flow
