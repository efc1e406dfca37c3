package flow

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// Record is one message as its source read it. A source fills it; nobody writes into it afterwards. Byte slices may point into a
// buffer that the source reuses once the batch is settled: what must live longer is copied.
type Record struct {
	// Body is the payload. nil is no payload (a Kafka tombstone), which differs from an empty one.
	Body []byte
	// Key is the record key. nil is no key, which differs from an empty one.
	Key []byte
	// Headers in the order the source gave them.
	Headers []Header
	// Props are the parts of a message that have a common name across protocols; nil when the source has none.
	Props *Properties
	// Topic is where the record came from: topic, queue, subject, path.
	Topic string
	// ID is the stable id when the source has a better one than its position (a producer's message id). Empty: made of the position.
	ID string
	// Time is the event time in nanoseconds since 1970; 0 when the source gives none (then the arrival counts).
	Time int64
	// Offset and Partition are the position in the source.
	Offset    int64
	Partition int32
	// Attempt is the delivery by the source, from 1.
	Attempt int32
	// Tag is the connector's own handle for acknowledging, e.g. an AMQP delivery tag.
	Tag uint64
	// Failure is set when the source could not take the record whole (a line over max_message: Body is its beginning). The engine
	// fails the record at the source without running it through the nodes.
	Failure *Error
	// Redelivered is set when the source says that it delivered the record before.
	Redelivered bool

	end     End
	settled bool
	refused *Error
}

// Properties are message parts with a common meaning across protocols. The zero value of a field means absent.
type Properties struct {
	ContentType     string
	ContentEncoding string
	MessageID       string
	Type            string
	AppID           string
	UserID          string
	// CorrelationID keeps its type: bytes in MQTT 5, text in AMQP 0-9-1.
	CorrelationID value.Value
	// ReplyTo is an address of the kind ReplyToKind ("queue", "topic", "subject").
	ReplyTo     string
	ReplyToKind string
	// TTL is the time to live that the source stated, counted from Arrived of the batch; 0 is none.
	TTL time.Duration
	// Priority is 0–255 when HasPriority.
	Priority    uint8
	HasPriority bool
	// Durable: delivery mode 2, QoS 1 and above.
	Durable bool
	// Native is what the source's connector wants to say about the record in `source` (see Env.Extra); nobody else looks at it. It holds
	// no memory of the batch.
	Native any
}

// End says how a branch of a record ended. A record counts once, by the worst of its ends; the order of the constants is that order.
type End uint8

// The ends.
const (
	// Open: not settled yet, or left at its source.
	Open End = iota
	// Filtered: a filter, or a processor that emitted nothing.
	Filtered
	// Delivered: confirmed by a sink.
	Delivered
	// Dropped: by the word drop in the file.
	Dropped
	// DeadLettered: confirmed by a sink named in then, or by the nodes that read name.errors.
	DeadLettered
)

// String names the end as counters and logs show it.
func (e End) String() string {
	return [...]string{"open", "filtered", "delivered", "dropped", "dead_lettered"}[e]
}

// Settled tells a source, within Settle, whether the record is done and may be acknowledged. A record that is not must stay at, or
// return to, the source.
func (r *Record) Settled() bool { return r.settled }

// End gives the record's end; Open until it is settled.
func (r *Record) End() End { return r.end }

// Finish is called by the engine alone, once per record, before the batch goes back to its source.
func (r *Record) Finish(end End) { r.end, r.settled = end, end != Open }

// Refused tells a source whose sender waits for an answer (Traits.Answers), within Settle, why an unsettled record was given up; nil when
// nobody has: then the sender is to come again.
func (r *Record) Refused() *Error { return r.refused }

// Refuse is called by the engine alone, beside a Finish that leaves the record open.
func (r *Record) Refuse(why *Error) { r.refused = why }

// own copies the record with all that may point into its batch's memory. What Native of a header holds is the protocol's own value and
// stays as it is.
func (r *Record) own() *Record {
	c := *r
	c.Body, c.Key, c.Headers = ownBytes(r.Body), ownBytes(r.Key), ownHeaders(r.Headers)
	c.Topic, c.ID = cloneText(r.Topic), cloneText(r.ID)
	if r.Props != nil {
		p := *r.Props
		p.ContentType, p.ContentEncoding, p.MessageID = cloneText(p.ContentType), cloneText(p.ContentEncoding), cloneText(p.MessageID)
		p.Type, p.AppID, p.UserID = cloneText(p.Type), cloneText(p.AppID), cloneText(p.UserID)
		p.ReplyTo, p.CorrelationID = cloneText(p.ReplyTo), value.Own(p.CorrelationID)
		c.Props = &p
	}
	return &c
}

// Position is the record's place in its source as dead letters show it: orders/3@1234.
func (r *Record) Position() string {
	var b strings.Builder
	b.WriteString(r.Topic)
	if r.Partition >= 0 {
		b.WriteByte('/')
		b.WriteString(strconv.Itoa(int(r.Partition)))
	}
	b.WriteByte('@')
	b.WriteString(strconv.FormatInt(r.Offset, 10))
	return b.String()
}

// NoPartition is the Partition of a source that has none.
const NoPartition int32 = -1

// Batch is a run of records of one lane under one acknowledgement: what has piled up at the source, at most MaxBatchRecords or
// MaxBatchBytes, never waiting to fill. The engine hands every batch back through Source.Settle exactly once.
type Batch struct {
	Lane    *Lane
	Records []Record
	// Arrived is when the records were read, nanoseconds since 1970: one clock reading per read.
	Arrived int64
	// Memory is what the source must release when the batch is settled; the engine does not look at it.
	Memory any
	// Coder says how the bodies of this batch read, where that stands beside them and not in the pipeline file: the lines of a file under
	// its header line. nil: as the source's decode says.
	Coder document.Coder
}

// A batch's size limits. One record may be larger than MaxBatchBytes: then it travels alone.
const (
	MaxBatchRecords = 512
	MaxBatchBytes   = 1 << 20
)

// Bytes is the size that limits count: payloads, keys and a flat charge per record.
func (b *Batch) Bytes() int64 {
	n := int64(0)
	for i := range b.Records {
		n += int64(len(b.Records[i].Body)+len(b.Records[i].Key)) + 64
	}
	return n
}

// Lane is one ordered stream of a source: a Kafka partition, a queue, an MQTT session, stdin. Batches of a lane are handed to each
// sink in the order they were pushed. The engine remembers a lane until it is abandoned: a source that makes many abandons each once all
// its batches have come back.
type Lane struct {
	// Name identifies the lane in logs: topic/partition, queue, path.
	Name string
	// Unordered: the lane's records have no order among each other unless the file asks for one; set before the first batch is pushed.
	Unordered bool

	once      sync.Once
	abandoned chan struct{}
}

// NewLane makes a lane. A source makes one per partition or queue it reads, and a new one when it gets a partition back.
func NewLane(name string) *Lane { return &Lane{Name: name, abandoned: make(chan struct{})} }

// Abandon tells the engine that the lane has been taken away (a partition was revoked): what has not been handed to a sink yet is not
// sent any more and comes back unsettled. Idempotent.
func (l *Lane) Abandon() { l.once.Do(func() { close(l.abandoned) }) }

// Abandoned is closed once the lane has been taken away.
func (l *Lane) Abandoned() <-chan struct{} { return l.abandoned }
